"""The backbone in ONNX computes what it computes in torch."""

import onnxruntime
import pytest
import torch

from mmrsir.models import RSIRTransformer
from mmrsir.models.onnx import onnx_translations

ARCH = dict(embed_dims=16, depths=(2, 2, 1, 1), num_heads=(1, 2, 4, 8))
# Whole windows only; a partial one, with all levels of odd sides; fewer tokens than a window.
CASES = [
    ((224, 224), 'mean'),
    ((97, 130), 'mean'),
    ((33, 20), 'mean'),
    pytest.param((97, 130), 'cbam', marks=pytest.mark.slow),
]


@pytest.mark.parametrize(('size', 'importance'), CASES)
def test_onnx_gives_the_same_pyramid(tmp_path, size, importance):
    torch.manual_seed(0)
    model = RSIRTransformer(ARCH, importance=importance).eval()
    images = torch.randn(2, 3, *size)
    path = tmp_path / 'model.onnx'
    table = onnx_translations()
    torch.onnx.export(model, (images,), path, dynamo=True, custom_translation_table=table)
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    images = torch.randn(2, 3, *size)  # not those of the export
    levels = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    with torch.no_grad():
        expected = model(images)
    assert len(levels) == len(expected) == 4
    for level, wanted in zip(levels, expected, strict=True):
        torch.testing.assert_close(torch.from_numpy(level), wanted, rtol=0, atol=1e-4)
