"""The configs of the paper, at full size, on small data in the real format."""

import re

import pytest

from ..helpers.commands import tool


@pytest.mark.slow
def test_rsir_t_1x_coco_trains_and_evaluates(coco2017, tmp_path):
    options = [f'{part}_dataloader.dataset.data_root={coco2017}/' for part in ('train', 'val')]
    options += [f'{part}_dataloader.num_workers=0' for part in ('train', 'val')]
    options += [f'{part}_dataloader.persistent_workers=False' for part in ('train', 'val')]
    options += [
        f'val_evaluator.ann_file={coco2017}/annotations/instances_val2017.json',
        'train_dataloader.dataset.indices=4',
        'train_cfg.max_epochs=1',
        'default_hooks.logger.interval=1',
        # Two iterations from scratch leave every score below the threshold.
        'model.test_cfg.rcnn.score_thr=0.0',
    ]
    output = tool(
        'train.py',
        'configs/mask_rcnn/rsir_t_1x_coco.py',
        '--work-dir',
        tmp_path,
        '--cfg-options',
        *options,
    )
    assert re.search(r'Epoch\(train\) +\[1\]\[2/2\].* loss: \d', output)
    assert re.search(r'Epoch\(val\) +\[1\]\[5/5\].*coco/segm_mAP: 0\.', output)
    assert (tmp_path / 'epoch_1.pth').exists()
