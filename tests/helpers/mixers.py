"""Token mixers of a small network."""

import torch
from torch import nn

from mmrsir.models.mixers import MIXERS, MixerSettings

WINDOW = 7
HEADS = 2
CHANNELS = 12


def build(name, stage=0, index=0, heads=HEADS, channels=CHANNELS):
    """A mixer whose weights are large enough for attention to be far from uniform."""
    torch.manual_seed(0)
    settings = MixerSettings(
        embed_dims=channels,
        num_heads=heads,
        window_size=WINDOW,
        block=0,
        stage=stage,
        index=index,
        importance='mean',
        eval_sampling='fixed',
        seed=0,
    )
    mixer = MIXERS[name](settings)
    for parameter in mixer.parameters():
        nn.init.normal_(parameter, std=0.5)
    return mixer
