"""CSWin-T on Caltech-256 from scratch, 100 epochs at 224 x 224.

CSWin is this project's mixer `cross_shaped` in the blocks and widths of CSWin (arXiv 2107.00652).

Command    tools/dist_train.sh configs/cls/baselines/cswin_t_caltech256.py 8
"""

_base_ = ['../rsir_t_caltech256.py', '../../_base_/models/cswin_t_backbone.py']
model = dict(
    backbone=dict(_base_.backbone, _delete_=True, drop_path_rate=0.2, out_indices=(3,)),
)
