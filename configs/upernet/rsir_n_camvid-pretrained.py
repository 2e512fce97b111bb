"""UperNet with a nano RSIR on CamVid, from the weights of Tiny-ImageNet.

As rsir_n_camvid.py but for its start.

Command    python tools/train.py configs/upernet/rsir_n_camvid-pretrained.py
"""

_base_ = './rsir_n_camvid.py'
model = dict(backbone=dict(init_cfg=dict(checkpoint='mmrsir://rsir_n_tinyimagenet')))
