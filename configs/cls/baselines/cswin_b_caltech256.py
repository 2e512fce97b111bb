"""CSWin-B on Caltech-256 from scratch, 100 epochs at 224 x 224.

Command    tools/dist_train.sh configs/cls/baselines/cswin_b_caltech256.py 8
"""

_base_ = ['../rsir_b_caltech256.py', '../../_base_/models/cswin_b_backbone.py']
model = dict(
    backbone=dict(_base_.backbone, _delete_=True, drop_path_rate=0.5, out_indices=(3,)),
)
optim_wrapper = dict(optimizer=dict(weight_decay=0.1))
