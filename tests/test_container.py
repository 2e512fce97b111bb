"""The container fits what is pinned."""

import re

import pytest
import torch

from .helpers.commands import ROOT

DOCKERFILE = (ROOT / 'Dockerfile').read_text()


def test_nvcc_of_the_image_is_of_torchs_cuda_release():
    if torch.version.cuda is None:
        pytest.skip('this torch is built without CUDA')
    (release,) = re.findall(r'nvidia/cuda:(\d+\.\d+)', DOCKERFILE)
    assert release == torch.version.cuda


def test_each_device_of_the_documentation_is_a_stage():
    page = (ROOT / 'docs/getting_started.md').read_text()
    devices = re.findall(r'--build-arg DEVICE=(\w+)', page)
    assert sorted(devices) == sorted(re.findall(r'^FROM \S+ AS (\w+)', DOCKERFILE, re.MULTILINE))
