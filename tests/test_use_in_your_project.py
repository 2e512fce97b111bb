"""What docs/use_in_your_project.md shows works."""

import re
from pathlib import Path

import mmseg
import pytest
import torch
from mmcv.cnn import is_norm
from mmcv.cnn.bricks import DropPath
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config, ConfigDict
from mmengine.model.utils import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import PixelData
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample

from mmrsir.engine.config_files import read_file
from mmrsir.models import ARCHS, RSIRTransformer

from .helpers.commands import ROOT

DOCUMENT = (ROOT / 'docs/use_in_your_project.md').read_text()
BLOCKS = re.findall(r'```python\n(.*?)```', DOCUMENT, flags=re.DOTALL)
CONFIGS = {m[1]: block for block in BLOCKS if (m := re.match(r'# (\w+\.py)\n_base_ = ', block))}
PLAIN_BLOCKS = {  # by the heading that they stand under
    re.findall(r'^##+ (.*)$', DOCUMENT[: DOCUMENT.index(block)], flags=re.MULTILINE)[-1]: block
    for block in BLOCKS
    if '_base_' not in block
}
# Further bases that the text after a config names, up to the next heading.
SAME_LINES = [
    (block.split('\n', 1)[0].removeprefix('# '), base)
    for block, text in re.findall(r'```python\n(.*?)```(.*?)(?=\n#)', DOCUMENT, flags=re.DOTALL)
    for base in re.findall(r'`(mm\w+::[\w/.-]+)`', text)
]

IMAGE = (64, 96)
MAX_DETECTIONS = 20
LIMITS = {  # of settings that cost time; with a threshold of 0 there are detections
    'num_layers': 2,
    'num_queries': MAX_DETECTIONS,
    'num_dn_queries': 10,
    'num_points': 64,
    'fc_out_channels': 64,
    'num': 32,  # sampled proposals
    'nms_pre': 50,
    'max_per_img': MAX_DETECTIONS,
    'max_per_image': MAX_DETECTIONS,
    'score_thr': 0.0,
}


def shrink(value, key=''):
    """Take two blocks a stage and little else that costs time; the backbone keeps its widths."""
    if isinstance(value, dict):
        return ConfigDict({key: shrink(inner, key) for key, inner in value.items()})
    if key == 'arch':
        return dict(ARCHS[value], depths=(2, 2, 2, 2))
    if key == 'size':
        return IMAGE
    if isinstance(value, (list, tuple)):
        return type(value)(shrink(inner) for inner in value)
    return min(value, LIMITS[key]) if key in LIMITS else value


def build(path):
    """Build a config's model in small, as mmengine's runner does."""
    cfg = read_file(path)
    init_default_scope(cfg.default_scope)
    settings = shrink(cfg.model)
    if 'data_preprocessor' in cfg:
        settings.setdefault('data_preprocessor', shrink(cfg.data_preprocessor))
    model = revert_sync_batchnorm(MODELS.build(settings))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path.parent)  # checkpoints are named relative to it
        model.init_weights()
    return cfg, model


def make_batch(scope):
    """Make two random images with labels."""
    if scope == 'mmdet':
        return demo_mm_inputs(2, (3, *IMAGE), num_items=[3, 2], num_classes=80, with_mask=True)
    images = torch.randint(0, 256, (2, 3, *IMAGE), dtype=torch.uint8)
    if scope == 'mmpretrain':
        return dict(inputs=images, data_samples=[DataSample().set_gt_label(i) for i in (3, 5)])
    samples = [SegDataSample(metainfo=dict(img_shape=IMAGE, ori_shape=IMAGE)) for _ in images]
    for sample in samples:
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 150, (1, *IMAGE)))
    return dict(inputs=list(images), data_samples=samples)


def compute_loss(cfg, model):
    torch.manual_seed(0)
    batch = model.data_preprocessor(make_batch(cfg.default_scope), training=True)
    for module in model.train().modules():
        if isinstance(module, DropPath):
            module.eval()  # it may leave out a branch for both images
    return model.parse_losses(model(**batch, mode='loss'))[0]


def check_training_reaches_all_of_the_backbone(cfg, model):
    assert isinstance(model.backbone, RSIRTransformer)
    compute_loss(cfg, model).backward()
    for name, parameter in model.backbone.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def run_plain(heading):
    names = {}
    exec(PLAIN_BLOCKS[heading], names)
    return names


@pytest.fixture(scope='module')
def project(tmp_path_factory):
    """A project of the document's configs, beside MMSegmentation, with a trained classifier."""
    root = tmp_path_factory.mktemp('root')
    (root / 'mmsegmentation').mkdir()
    configs = Path(mmseg.__file__).parent / '.mim/configs'
    (root / 'mmsegmentation/configs').symlink_to(configs)
    folder = root / 'project'
    (folder / 'work_dirs').mkdir(parents=True)
    for name, text in CONFIGS.items():
        (folder / name).write_text(text)
    _, classifier = build(folder / 'classifier_rsir_t.py')
    trained = {key: value + 0.01 for key, value in classifier.state_dict().items()}
    torch.save(dict(state_dict=trained), folder / 'work_dirs/rsir_t_in1k.pth')
    return folder


@pytest.fixture(scope='module', params=CONFIGS)
def network(request, project):
    """A config of the document and its model."""
    return build(project / request.param)


def test_training_reaches_all_of_the_backbone(network):
    check_training_reaches_all_of_the_backbone(*network)


def test_optimizer_moves_all_of_the_backbone(network):
    cfg, model = network
    before = {name: value.clone() for name, value in model.backbone.named_parameters()}
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    optim_wrapper.update_params(compute_loss(cfg, model))
    assert type(optim_wrapper.optimizer) is torch.optim.AdamW
    for name, parameter in model.backbone.named_parameters():
        assert not torch.equal(parameter, before[name]), name
        assert parameter.isfinite().all(), name


def test_norms_of_the_backbone_do_not_decay(network):
    cfg, model = network
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    settings = {
        id(parameter): (group['lr'], group['weight_decay'])
        for group in groups
        for parameter in group['params']
    }
    lr, decay = settings[id(model.backbone.patch_embed.projection.weight)]
    assert decay == cfg.optim_wrapper.optimizer.weight_decay
    for name, module in model.backbone.named_modules():
        if is_norm(module):
            assert settings[id(module.weight)] == settings[id(module.bias)], name
            norm_lr, norm_decay = settings[id(module.weight)]
            assert norm_decay == 0, name
            assert norm_lr == lr or 'layer_decay_rate' in cfg.optim_wrapper.paramwise_cfg, name


def test_predictions_have_their_structure(network):
    cfg, model = network
    with torch.no_grad():
        results = model.eval().test_step(make_batch(cfg.default_scope))
    assert len(results) == 2
    for result in results:
        if cfg.default_scope == 'mmpretrain':
            assert result.pred_score.shape == (1000,)
            assert result.pred_score.sum() == pytest.approx(1, abs=1e-4)
        elif cfg.default_scope == 'mmseg':
            assert result.pred_sem_seg.data.shape == (1, *IMAGE)
            assert result.seg_logits.data.shape == (150, *IMAGE)
        else:
            found = result.pred_instances
            assert 0 < len(found) <= MAX_DETECTIONS
            assert found.bboxes.shape == (len(found), 4)
            assert ('masks' in found) == ('segm' in cfg.test_evaluator.metric)
            if 'masks' in found:
                assert found.masks.shape == (len(found), *IMAGE)


@pytest.mark.parametrize(('name', 'base'), SAME_LINES)
def test_same_lines_fit_the_other_bases(name, base, project):
    path = project / f'{Path(base).stem}.py'
    path.write_text(re.sub(r"_base_ = '.*'", f"_base_ = '{base}'", CONFIGS[name]))
    check_training_reaches_all_of_the_backbone(*build(path))


def test_pretrained_weights_are_those_of_the_classifier(project):
    _, model = build(project / 'retinanet_rsir_t_pretrained.py')
    trained = torch.load(project / 'work_dirs/rsir_t_in1k.pth')['state_dict']
    for name, value in model.backbone.state_dict().items():
        if name.startswith(('norm1', 'norm2')):
            assert f'backbone.{name}' not in trained
        else:
            assert torch.equal(value, trained[f'backbone.{name}']), name


def test_mmseg_bases_do_not_resolve(tmp_path):
    base = 'mmseg::fcn/fcn_r50-d8_4xb4-160k_ade20k-512x512.py'
    (tmp_path / 'config.py').write_text(f'_base_ = {base!r}')
    with pytest.raises(ModuleNotFoundError, match='mmsegmentation is not installed'):
        Config.fromfile(tmp_path / 'config.py')


@pytest.mark.parametrize('arch', ARCHS)
def test_the_guide_knows_the_channels(arch):
    sentence = re.search(r'Level 0 has (.*)\. Each further level has twice as many', DOCUMENT)[1]
    groups = re.findall(r'(\d+)(?: channels)? in ((?:`\w+`(?: and )?)+)', sentence)
    first = next(int(number) for number, names in groups if f'`{arch}`' in names)
    with torch.device('meta'):
        levels = RSIRTransformer(arch)(torch.empty(1, 3, 64, 64))
    assert [level.shape[1] for level in levels] == [first, 2 * first, 4 * first, 8 * first]


def test_plain_example_gives_four_levels():
    shapes = ', '.join(str(tuple(level.shape)) for level in run_plain('Plain PyTorch')['levels'])
    assert f'# {shapes}\n' in PLAIN_BLOCKS['Plain PyTorch']


def test_feature_extractor_gives_embeddings():
    names = run_plain('Feature extractor')
    assert names['stride_8'].shape == (2, 128, 28, 28)
    assert names['stride_32'].shape == (2, 512, 7, 7)
    assert names['embeddings'].shape == (2, 512)


def test_grad_cam_example_equals_grad_cam_of_the_map_in_the_image_plane():
    names = run_plain('Hooks and Grad-CAM')
    backbone, images = names['backbone'], names['images']
    # The features of the stage as an image, and the gradient of the score by them.
    with torch.no_grad():
        features_BCHW = backbone.trace(images, (0, 0))[names['stage']][-1].features_BCHW
    features_BCHW = features_BCHW.contiguous().requires_grad_()
    x_BLC, grid = backbone.merging[2](features_BCHW.flatten(2).transpose(1, 2), (6, 8))
    normed_BLC = backbone.norm3(backbone.stages[3](x_BLC, grid))
    scores = names['head'](normed_BLC.mean(dim=1))
    (gradient,) = torch.autograd.grad(scores.max(dim=1).values.sum(), features_BCHW)
    weights_BC = gradient.mean(dim=(2, 3))
    expected_BHW = torch.einsum('bc,bchw->bhw', weights_BC, features_BCHW).relu()
    assert expected_BHW.max() > 0
    torch.testing.assert_close(names['cam_BHW'], expected_BHW.detach(), rtol=1e-3, atol=1e-6)
    assert '# (2, 6, 8)\n' in PLAIN_BLOCKS['Hooks and Grad-CAM']
    assert names['cam_BHW'].shape == (2, 6, 8)


def test_frozen_example_trains_the_last_two_stages():
    names = run_plain('Frozen stages')
    trained = {id(parameter) for parameter in names['optimizer'].param_groups[0]['params']}
    last_two = ('stages.2', 'stages.3', 'merging.1', 'merging.2', 'norm2', 'norm3')
    for name, parameter in names['backbone'].named_parameters():
        assert (id(parameter) in trained) == name.startswith(last_two), name


def test_checkpointing_example_trains():
    for name, parameter in run_plain('Gradient checkpointing')['backbone'].named_parameters():
        assert parameter.grad.isfinite().all(), name


def test_timm_example_gives_its_levels():
    names = run_plain('timm')
    assert names['channels'] == [128, 256, 512]
    assert [level.shape[2] for level in names['levels']] == [28, 14, 7]


@pytest.mark.parametrize(
    ('heading', 'package'),
    [
        ('segmentation_models_pytorch', 'segmentation_models_pytorch'),
        ('Hugging Face transformers', 'transformers'),
    ],
)
def test_segmentors_of_other_projects_take_it(heading, package):
    pytest.importorskip(package)
    assert run_plain(heading)['logits'].shape == (2, 5, 64, 96)


def test_torchvisions_mask_r_cnn_trains_and_predicts():
    torch.manual_seed(0)
    detector = run_plain("torchvision's Mask R-CNN")['detector']
    detector.transform.min_size, detector.transform.max_size = (96,), 128
    image, masks = torch.rand(3, 90, 120), torch.zeros(1, 90, 120, dtype=torch.uint8)
    masks[:, 20:60, 10:50] = 1
    boxes = torch.tensor([[10.0, 20.0, 50.0, 60.0]])
    losses = detector([image], [dict(boxes=boxes, labels=torch.tensor([1]), masks=masks)])
    sum(losses.values()).backward()
    assert 'loss_mask' in losses
    for name, parameter in detector.backbone.body.named_parameters():
        assert parameter.grad.isfinite().all(), name
    detector.roi_heads.score_thresh = 0.0
    with torch.no_grad():
        (found,) = detector.eval()([image])
    assert found['masks'].shape == (len(found['boxes']), 1, 90, 120)
    assert len(found['boxes']) > 0


def test_detectron2_trains_and_predicts():
    detectron2 = pytest.importorskip('detectron2.config')
    run_plain('Detectron2')
    from detectron2.modeling import build_model
    from detectron2.structures import Boxes, Instances, PolygonMasks
    from detectron2.utils.events import EventStorage

    cfg = detectron2.get_cfg()
    cfg.merge_from_list(['MODEL.DEVICE', 'cpu', 'MODEL.MASK_ON', True, 'INPUT.FORMAT', 'RGB'])
    cfg.merge_from_list(['MODEL.META_ARCHITECTURE', 'GeneralizedRCNN'])
    cfg.merge_from_list(['MODEL.BACKBONE.NAME', 'build_rsir_fpn_backbone'])
    cfg.merge_from_list(['MODEL.RPN.IN_FEATURES', ['p2', 'p3', 'p4', 'p5', 'p6']])
    cfg.merge_from_list(['MODEL.ANCHOR_GENERATOR.SIZES', [[32], [64], [128], [256], [512]]])
    cfg.merge_from_list(['MODEL.ROI_HEADS.NAME', 'StandardROIHeads'])
    cfg.merge_from_list(['MODEL.ROI_HEADS.IN_FEATURES', ['p2', 'p3', 'p4', 'p5']])
    cfg.merge_from_list(['MODEL.ROI_BOX_HEAD.NAME', 'FastRCNNConvFCHead'])
    cfg.merge_from_list(['MODEL.ROI_BOX_HEAD.NUM_FC', 2])
    cfg.merge_from_list(['MODEL.ROI_MASK_HEAD.NAME', 'MaskRCNNConvUpsampleHead'])
    cfg.merge_from_list(['MODEL.ROI_MASK_HEAD.NUM_CONV', 4])
    model = build_model(cfg)
    truth = Instances(IMAGE, gt_boxes=Boxes(torch.tensor([[10.0, 20.0, 50.0, 60.0]])))
    truth.gt_classes = torch.tensor([3])
    truth.gt_masks = PolygonMasks([[torch.tensor([10.0, 20, 50, 20, 50, 60, 10, 60]).numpy()]])
    image = torch.randint(0, 256, (3, *IMAGE), dtype=torch.uint8)
    with EventStorage():
        losses = model([dict(image=image, instances=truth)])
    sum(losses.values()).backward()
    for name, parameter in model.backbone.bottom_up.named_parameters():
        assert parameter.grad.isfinite().all(), name
    with torch.no_grad():
        (found,) = model.eval()([dict(image=image)])
    assert found['instances'].has('pred_masks')


def test_links_lead_somewhere():
    for path in re.findall(r'`((?:configs|tests|mmrsir)/[\w/.]+)`', DOCUMENT):
        assert (ROOT / path).exists(), path
