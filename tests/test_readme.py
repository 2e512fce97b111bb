"""What the README shows works."""

import re

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from mmrsir.models import RSIRTransformer

from .helpers.commands import ROOT

README = (ROOT / 'README.md').read_text()
CONFIG, PLAIN = re.findall(r'```python\n(.*?)```', README, flags=re.DOTALL)


def test_config_example_builds_a_detector(tmp_path):
    (tmp_path / 'config.py').write_text(CONFIG)
    cfg = Config.fromfile(tmp_path / 'config.py')
    init_default_scope('mmdet')
    assert isinstance(MODELS.build(cfg.model).backbone, RSIRTransformer)
    assert cfg.optim_wrapper.optimizer.type == 'AdamW'


def test_plain_example_gives_four_levels():
    names = {}
    exec(PLAIN, names)
    assert [tuple(level.shape[1:]) for level in names['levels']] == [
        (32, 120, 160),
        (64, 60, 80),
        (128, 30, 40),
        (256, 15, 20),
    ]


@pytest.mark.parametrize('path', sorted(set(re.findall(r'\]\(([\w/.]+)[#)]', README))))
def test_links_lead_somewhere(path):
    assert (ROOT / path).exists()
