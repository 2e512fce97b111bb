"""UperNet with CSWin-T on ADE20K, 160k iterations, 512 x 512 crops.

CSWin is this project's mixer `cross_shaped` in the blocks and widths of CSWin (arXiv 2107.00652).
The rate of stochastic depth is that of CSWin's supplement; its published config has 0.3.

Command    tools/dist_train.sh configs/upernet/baselines/cswin_t_160k_ade20k_512x512.py 8
           multi-scale test: tools/dist_test.sh CONFIG CHECKPOINT 8 --tta
"""

_base_ = ['../rsir_t_160k_ade20k_512x512.py', '../../_base_/models/cswin_t_backbone.py']
model = dict(
    backbone=dict(
        _base_.backbone,
        _delete_=True,
        drop_path_rate=0.2,
        init_cfg=dict(type='Pretrained', checkpoint=None),
    ),
)
