"""Our configs in the libraries' inferencers, and one predictor for all tasks."""

import json
from functools import partial

import cv2
import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer
from mmengine.registry import init_default_scope
from mmpretrain.apis import ImageClassificationInferencer, ModelHub
from mmseg.apis import MMSegInferencer
from PIL import Image

import mmrsir.replacements  # noqa: F401  # gives the inferencers our names
from mmrsir.apis import Predictor
from mmrsir.checkpoints.reading import CheckpointMismatchError
from mmrsir.engine.config_files import models_of, read_file
from mmrsir.models import RSIRTransformer
from mmrsir.utils.errors import InvalidValueError, plain_errors

from .helpers.commands import ROOT, run_here

CLASSES = {
    'mask_rcnn': ('circle', 'square', 'triangle', 'star'),
    'upernet': ('background', 'circle', 'square', 'triangle', 'star'),
    'cls': ('circle', 'square', 'triangle', 'star'),
}
PICTURE = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)


@pytest.fixture(scope='module')
def checkpoints(tmp_path_factory):
    """A checkpoint of each task, as a training writes it."""
    paths = {}
    for folder, classes in CLASSES.items():
        torch.manual_seed(0)
        model = Predictor(f'{folder}/rsir_n_shapes', device='cpu').model
        paths[folder] = tmp_path_factory.mktemp(folder) / 'epoch_1.pth'
        meta = dict(dataset_meta=dict(classes=classes, palette=[(9, 9, 9)] * len(classes)))
        torch.save(dict(state_dict=model.state_dict(), meta=meta), paths[folder])
    return paths


def config_of(folder):
    return str(ROOT / f'configs/{folder}/rsir_n_shapes.py')


@pytest.fixture
def picture_file(tmp_path):
    path = tmp_path / 'noise.png'
    Image.fromarray(PICTURE).save(path)
    return path


@pytest.mark.filterwarnings('ignore:Checkpoint is not loaded')
@pytest.mark.parametrize(
    ('scope', 'inferencer', 'name'),
    [
        ('mmdet', DetInferencer, 'rsir_t_1x_coco'),
        ('mmseg', MMSegInferencer, 'rsir_t_160k_ade20k_512x512'),
        ('mmpretrain', partial(ImageClassificationInferencer, pretrained=False), 'rsir_t_in1k'),
    ],
)
def test_the_inferencers_of_the_libraries_know_our_names(scope, inferencer, name):
    init_default_scope(scope)  # that of mmpretrain leaves the scope as it is
    backbone = inferencer(name, device='cpu').model.backbone
    assert isinstance(backbone, RSIRTransformer) and backbone.depths[:3] == (2, 2, 16)


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg', 'mmpretrain'])
def test_every_model_of_a_metafile_is_known(scope):
    models = list(models_of(scope))
    assert len(models) > 5
    for model in models:
        if scope == 'mmpretrain':
            assert ModelHub._models_dict[model['Name'].lower()].config == model['Config']
        else:
            inferencer = {'mmdet': DetInferencer, 'mmseg': MMSegInferencer}[scope]
            assert model['Name'] in inferencer.list_models(scope, f'^{model["Name"]}$')


def test_a_detection_is_that_of_the_library(checkpoints, picture_file):
    checkpoint = str(checkpoints['mask_rcnn'])
    prediction = Predictor('mask_rcnn/rsir_n_shapes', checkpoint, 'cpu', score_thr=0.2)(PICTURE)
    inferencer = DetInferencer(config_of('mask_rcnn'), checkpoint, 'cpu', show_progress=False)
    expected = inferencer(str(picture_file))['predictions'][0]
    number = sum(score > 0.2 for score in expected['scores'])
    assert len(prediction.found) == number > 0
    for index, found in enumerate(prediction.found):
        assert found['label'] == CLASSES['mask_rcnn'][expected['labels'][index]]
        assert found['score'] == pytest.approx(expected['scores'][index], abs=1e-4)
        assert found['box'] == pytest.approx(expected['bboxes'][index], abs=0.1)
    assert prediction.drawn.shape == PICTURE.shape and json.dumps(prediction.found)


def test_a_segmentation_is_that_of_the_library(checkpoints, picture_file):
    prediction = Predictor('upernet/rsir_n_shapes', str(checkpoints['upernet']), 'cpu')(PICTURE)
    inferencer = MMSegInferencer(
        config_of('upernet'), str(checkpoints['upernet']), device='cpu', show_progress=False
    )
    assert np.array_equal(prediction.label_map, inferencer(str(picture_file))['predictions'])
    for found in prediction.found:
        share = (prediction.label_map == CLASSES['upernet'].index(found['label'])).mean()
        assert found['share'] == pytest.approx(share, abs=1e-4)
    assert prediction.drawn.shape == PICTURE.shape and json.dumps(prediction.found)


def test_a_classification_is_that_of_the_library(checkpoints, picture_file):
    prediction = Predictor('cls/rsir_n_shapes', str(checkpoints['cls']), 'cpu')(PICTURE)
    inferencer = ImageClassificationInferencer(
        config_of('cls'), pretrained=str(checkpoints['cls']), device='cpu'
    )
    expected = inferencer(str(picture_file))[0]
    assert prediction.found[0]['label'] == expected['pred_class']
    assert prediction.found[0]['score'] == pytest.approx(expected['pred_score'], abs=1e-4)
    assert json.dumps(prediction.found)


def test_draws_give_an_uncertainty_map(checkpoints):
    predictor = Predictor('upernet/rsir_n_shapes', str(checkpoints['upernet']), 'cpu', num_draws=2)
    assert predictor(PICTURE).uncertainty.shape == PICTURE.shape[:2]


@pytest.mark.filterwarnings('ignore:Checkpoint is not loaded')
@pytest.mark.parametrize('folder', ['mask_rcnn', 'upernet'])
def test_classes_are_those_of_the_config_where_the_checkpoint_has_none(folder):
    predictor = Predictor(f'{folder}/rsir_n_shapes', device='cpu')
    cfg = predictor.cfg.test_dataloader.dataset
    assert tuple(predictor.classes) == tuple(cfg.metainfo.classes)
    predictor(PICTURE)


def test_weights_of_another_model_are_refused(checkpoints):
    with pytest.raises(CheckpointMismatchError, match='90.0% is required'):
        Predictor('upernet/rsir_n_shapes', str(checkpoints['cls']), 'cpu')


def test_weights_that_leave_the_head_random_are_refused(checkpoints):
    with pytest.raises(CheckpointMismatchError, match=r'no weights for head\.fc\.weight'):
        Predictor('cls/rsir_n_shapes', str(checkpoints['upernet']), 'cpu')


@pytest.mark.filterwarnings('ignore:Checkpoint is not loaded')
def test_a_picture_that_the_model_gets_in_a_huge_size_is_named_with_what_to_do(monkeypatch):
    monkeypatch.setattr('mmrsir.apis.predictor.LARGE', PICTURE.size // 3 - 1)
    with pytest.warns(UserWarning, match=r"90 x 60 pixels: .* dict\(type='ResizeEdge', scale=256"):
        Predictor('cls/rsir_n_shapes', device='cpu')(PICTURE)


@pytest.mark.parametrize('settings', [dict(device='gpu'), dict(score_thr=30)])
def test_a_device_or_score_that_cannot_be_is_refused(settings):
    with pytest.raises(InvalidValueError, match='must be'):
        Predictor('cls/rsir_n_shapes', **settings)


@pytest.fixture
def image_demo(tmp_path, monkeypatch, checkpoints):
    def run(source, folder='upernet', *options):
        arguments = [source, f'{folder}/rsir_n_shapes', checkpoints[folder]]
        options = ['--out-dir', tmp_path / 'out', '--device', 'cpu', *options]
        run_here(monkeypatch, 'demo/image_demo.py', *arguments, *options)
        return tmp_path / 'out'

    return run


def test_demo_draws_a_folder_and_names_what_is_broken(image_demo, tmp_path, capsys):
    folder = tmp_path / 'pictures'
    folder.mkdir()
    Image.fromarray(PICTURE).save(folder / 'good.jpg')
    (folder / 'broken.png').write_bytes(b'no picture')
    (folder / 'notes.txt').write_text('left alone')
    with pytest.raises(SystemExit), plain_errors():
        image_demo(folder, 'upernet', '--draws', '2')
    out_dir = tmp_path / 'out'
    names = {path.name for path in out_dir.iterdir()}
    assert names == {'good.png', 'good_labels.png', 'good_uncertainty.png', 'predictions.json'}
    assert list(json.loads((out_dir / 'predictions.json').read_text())) == ['good.jpg']
    said = capsys.readouterr()
    assert 'broken.png is no picture' in said.err and 'left out: 1 .txt: no image' in said.out


def test_demo_reads_pictures_of_any_format_and_name_and_counts_what_it_leaves_out(
    image_demo, tmp_path, capsys
):
    folder = tmp_path / 'pictures'
    (folder / 'below').mkdir(parents=True)
    named = {'a.jpg': 'JPEG', 'b.JPG': 'JPEG', 'c.webp': 'WEBP', 'd.gif': 'GIF', 'e.avif': 'AVIF'}
    named |= {'g.jfif': 'JPEG', 'below/f.jpg': 'JPEG', 'a.tga': 'TGA', 'suffixless': 'PNG'}
    for name, form in named.items():
        Image.fromarray(PICTURE).save(folder / name, form)
    (folder / 'h.heic').write_bytes(bytes(100))
    (folder / 'i.HEIC').write_bytes(bytes(100))
    (folder / 'film.mp4').write_bytes(b'film')
    out_dir = image_demo(folder, 'cls')
    assert sorted(json.loads((out_dir / 'predictions.json').read_text())) == sorted(named)
    drawn = {str(path.relative_to(out_dir)) for path in out_dir.rglob('*.png')}
    assert {'a.jpg.png', 'a.tga.png', 'b.png', 'below/f.png', 'suffixless.png'} <= drawn
    said = capsys.readouterr().out
    for line in ('1 .heic: HEIC is not read', '1 .HEIC: HEIC', '1 .mp4: a video'):
        assert f'left out: {line}' in said


def test_a_gif_of_one_frame_is_a_picture_and_one_of_several_a_video(image_demo, tmp_path):
    picture = Image.fromarray(PICTURE)
    picture.save(tmp_path / 'one.gif')
    picture.save(tmp_path / 'two.gif', save_all=True, append_images=[picture.rotate(180)])
    assert (image_demo(tmp_path / 'one.gif', 'cls') / 'one.png').is_file()
    assert (image_demo(tmp_path / 'two.gif', 'cls') / 'two.mp4').is_file()


def test_demo_replaces_no_input(image_demo, tmp_path, picture_file, capsys):
    with pytest.raises(SystemExit), plain_errors():
        image_demo(picture_file, 'upernet', '--out-dir', str(tmp_path))
    assert 'would replace the input' in capsys.readouterr().err
    assert np.array_equal(np.asarray(Image.open(picture_file)), PICTURE)


@pytest.mark.parametrize('folder', ['mask_rcnn', 'cls'])
def test_demo_draws_a_picture(image_demo, picture_file, folder):
    out_dir = image_demo(picture_file, folder)
    assert {path.name for path in out_dir.iterdir()} == {'noise.png', 'predictions.json'}


def test_demo_draws_a_picture_whose_suffix_is_that_of_another_format(image_demo, tmp_path):
    Image.fromarray(PICTURE).save(tmp_path / 'phone.heic', 'JPEG')
    assert (image_demo(tmp_path / 'phone.heic', 'cls') / 'phone.png').is_file()


def test_demo_draws_a_video(image_demo, tmp_path):
    code = cv2.VideoWriter.fourcc(*'MJPG')
    writer = cv2.VideoWriter(str(tmp_path / 'video.avi'), code, 10, (90, 60))
    for _ in range(3):
        writer.write(PICTURE)
    writer.release()
    out_dir = image_demo(tmp_path / 'video.avi')
    video = cv2.VideoCapture(str(out_dir / 'video.mp4'))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert len(json.loads((out_dir / 'predictions.json').read_text())) == 3


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('none.jpg', None, 'none.jpg does not exist'),
        ('text.mp4', b'no video', 'neither a picture nor a video'),
        ('photo.heic', b'no video', 'HEIC is not read: save it as JPEG or PNG'),
        ('empty.jpg', b'', 'the file is empty'),
    ],
)
def test_demo_says_what_it_cannot_read(image_demo, tmp_path, capsys, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SystemExit), plain_errors():
        image_demo(tmp_path / name)
    assert message in capsys.readouterr().err


def test_custom_configs_are_predicted_with_too(checkpoints, tmp_path):
    cfg = read_file(ROOT / 'configs/cls/rsir_n_shapes.py')
    cfg.dump(tmp_path / 'my_own.py')
    predictor = Predictor(str(tmp_path / 'my_own.py'), str(checkpoints['cls']), 'cpu')
    assert predictor.classes == CLASSES['cls']
