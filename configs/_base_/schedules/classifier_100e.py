# As classifier_300e.py, in 100 epochs.
_base_ = './classifier_300e.py'
train_cfg = dict(max_epochs=100)
