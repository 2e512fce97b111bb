"""The synthetic shapes: formats that agree, the same bytes for the same seed, safe folders."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mmrsir.datasets.shapes import dataset as shapes
from mmrsir.datasets.shapes.annotation import (
    BACKGROUND_LABEL,
    IGNORED_LABEL,
    annotate,
    mask_polygons,
    polygon_area,
    run_lengths,
)
from mmrsir.datasets.shapes.dataset import CATEGORY_IDS, CLASSES, make_shapes
from mmrsir.datasets.shapes.drawing import (
    SUBPIXELS,
    Pose,
    fine_mask,
    outline_area,
    photograph_crop,
    place_outline,
    unit_outline,
)
from mmrsir.datasets.shapes.scene import Scene

from ..helpers.image_trees import tool

TINY = dict(num_train=12, num_val=6, image_size=128)
TINY |= dict(num_cls_train=2, num_cls_val=1, cls_image_size=32)
SMALLEST = {**TINY, 'num_train': 4, 'num_val': 1, 'num_cls_train': 1}
SPLITS = ('train', 'val')
ADE_SPLITS = {'train': 'training', 'val': 'validation'}
main = tool('make_shapes')


def _digest(content):
    # pytest would take minutes to explain how two long strings of bytes differ.
    return hashlib.sha256(content).hexdigest()


def _digests(root):
    files = (path for path in sorted(root.rglob('*')) if path.is_file())
    return {path.relative_to(root).as_posix(): _digest(path.read_bytes()) for path in files}


def _coco(root, split):
    return COCO(str(root / f'coco/annotations/instances_{split}.json'))


def _annotations(coco, crowd):
    return coco.loadAnns(coco.getAnnIds(iscrowd=crowd))


def _labels(root, split, file_name):
    path = root / 'ade/annotations' / ADE_SPLITS[split] / file_name.replace('.jpg', '.png')
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), np.uint8)


def _scene(size=128):
    return Scene(photograph_crop(np.random.default_rng(0), size, False))


@pytest.fixture(scope='session')
def root(tmp_path_factory):
    """A tiny data set, only to be read."""
    folder = tmp_path_factory.mktemp('shapes') / 'data'
    make_shapes(folder, **TINY)
    return folder


@pytest.fixture(params=SPLITS)
def split(request):
    return request.param


@pytest.fixture
def coco(root, split):
    return _coco(root, split)


def test_coco_lists_exactly_the_pictures_there_are(coco, root, split):
    names = sorted(image['file_name'] for image in coco.imgs.values())
    assert names == sorted(path.name for path in (root / 'coco' / split).iterdir())
    assert len(names) == TINY[f'num_{split}']
    for image in coco.imgs.values():
        pixels = cv2.imread(str(root / 'coco' / split / image['file_name']))
        assert pixels is not None
        assert pixels.shape == (image['height'], image['width'], 3)


def test_categories_are_the_classes_and_not_contiguous(coco):
    categories = coco.dataset['categories']
    assert [c['name'] for c in categories] == list(CLASSES)
    ids = [c['id'] for c in categories]
    assert ids == list(CATEGORY_IDS)
    assert ids[0] == 1
    assert ids != list(range(1, len(ids) + 1))


def test_polygon_mask_agrees_with_bbox_and_area(coco):
    annotations = _annotations(coco, crowd=False)
    assert annotations
    for annotation in annotations:
        assert all(len(p) >= 6 and len(p) % 2 == 0 for p in annotation['segmentation'])
        mask = coco.annToMask(annotation)
        x, y, width, height = annotation['bbox']
        low_x, low_y, mask_width, mask_height = cv2.boundingRect(mask)
        edges = np.array([x, y, x + width, y + height])
        mask_edges = [low_x, low_y, low_x + mask_width, low_y + mask_height]
        np.testing.assert_allclose(mask_edges, edges, atol=1.5)
        assert edges.min() >= 0
        assert edges.max() <= TINY['image_size']
        perimeter = 2 * (width + height)
        assert abs(int(mask.sum()) - annotation['area']) < 0.15 * perimeter


def test_crowd_is_run_lengths_that_decode_to_its_bbox_and_area(coco):
    crowds = _annotations(coco, crowd=True)
    assert crowds
    for crowd in crowds:
        counts, size = crowd['segmentation']['counts'], crowd['segmentation']['size']
        assert isinstance(counts, list)
        assert size == [TINY['image_size']] * 2
        mask = coco.annToMask(crowd)
        assert int(mask.sum()) == crowd['area'] > 0
        assert list(cv2.boundingRect(mask)) == crowd['bbox']


def test_object_masks_of_a_picture_are_disjoint(coco):
    for image_id in coco.getImgIds():
        found = coco.loadAnns(coco.getAnnIds(image_id))
        claimed = np.zeros((TINY['image_size'],) * 2, np.uint8)
        for annotation in found:
            mask = coco.annToMask(annotation)
            # Rounding leaves at most a thread of shared pixels, which an erosion removes.
            shared = cv2.erode(mask & claimed, np.ones((2, 2), np.uint8))
            assert shared.sum() == 0
            claimed |= mask


def test_some_pictures_have_no_object(coco, root, split):
    empty = [i for i in coco.getImgIds() if not coco.getAnnIds(i)]
    assert len(empty) == 1
    labels = _labels(root, split, coco.imgs[empty[0]]['file_name'])
    assert np.all(labels == BACKGROUND_LABEL)


def test_label_maps_agree_with_coco_masks(coco, root, split):
    for image in coco.imgs.values():
        labels = _labels(root, split, image['file_name'])
        assert labels.shape == (image['height'], image['width'])
        assert labels.max() <= BACKGROUND_LABEL
        expected = np.full_like(labels, BACKGROUND_LABEL)
        for annotation in coco.loadAnns(coco.getAnnIds(image['id'])):
            value = CATEGORY_IDS.index(annotation['category_id']) + 1
            expected[coco.annToMask(annotation) > 0] = value
        for value in np.unique(expected):
            ours, theirs = labels == value, (expected == value) & (labels != IGNORED_LABEL)
            assert (ours & theirs).sum() > 0.9 * (ours | theirs).sum()


def test_label_map_ignores_a_rim_of_one_pixel_around_an_object():
    scene = _scene()
    scene.add_object(1, Pose(64.0, 64.0, 30.0, 0.0), np.random.default_rng(0))
    row = annotate(scene)[1][64]
    runs = row[np.flatnonzero(np.diff(row, prepend=255))].tolist()
    assert runs == [BACKGROUND_LABEL, IGNORED_LABEL, 2, IGNORED_LABEL, BACKGROUND_LABEL]
    assert np.count_nonzero(row == IGNORED_LABEL) == 2


def test_crowd_region_holds_its_class_and_ignored_ground(coco, root, split):
    for crowd in _annotations(coco, crowd=True):
        labels = _labels(root, split, coco.imgs[crowd['image_id']]['file_name'])
        values = set(np.unique(labels[coco.annToMask(crowd) > 0]).tolist())
        assert values == {IGNORED_LABEL, CATEGORY_IDS.index(crowd['category_id']) + 1}


def test_ade_pictures_are_the_coco_pictures(root, split):
    assert _digests(root / 'ade/images' / ADE_SPLITS[split]) == _digests(root / 'coco' / split)


def test_image_folders_have_every_class_and_the_lists_name_them(root, split):
    folder = root / 'imagenet' / split
    assert sorted(path.name for path in folder.iterdir()) == list(CLASSES)
    lines = (root / f'imagenet/meta/{split}.txt').read_text().splitlines()
    listed = dict(line.split() for line in lines)
    found = {p.relative_to(folder).as_posix(): p for p in folder.glob('*/*.jpg')}
    assert sorted(listed) == sorted(found)
    assert len(found) == len(CLASSES) * TINY[f'num_cls_{split}']
    for name, path in found.items():
        assert int(listed[name]) == CLASSES.index(path.parent.name)
        picture = cv2.imread(str(path))
        assert picture is not None
        assert picture.shape == (TINY['cls_image_size'],) * 2 + (3,)


def test_no_picture_occurs_twice_in_training_or_validation(root):
    pictures = [_digest(p.read_bytes()) for p in root.glob('coco/*/*.jpg')]
    pictures += [_digest(p.read_bytes()) for p in root.glob('imagenet/*/*/*.jpg')]
    assert len(pictures) == TINY['num_train'] + TINY['num_val'] + 3 * len(CLASSES)
    assert len(set(pictures)) == len(pictures)


def test_training_and_validation_place_their_objects_differently(root):
    boxes = [
        {tuple(a['bbox']) for a in _annotations(_coco(root, split), crowd=False)}
        for split in SPLITS
    ]
    assert not boxes[0] & boxes[1]


def test_training_and_validation_cut_from_different_halves(monkeypatch):
    halves = tuple(np.full((40, 40, 3), value, np.uint8) for value in (60, 200))
    monkeypatch.setattr('mmrsir.datasets.shapes.drawing._photograph_halves', lambda: (halves,))
    train, val = (photograph_crop(np.random.default_rng(0), 32, v) for v in (False, True))
    assert train.max() < val.min()


def test_drawn_object_differs_from_the_photograph_only_near_its_mask():
    scene = _scene()
    before = scene.picture.copy()
    pose = Pose(64.0, 64.0, 25.0, 0.4)
    scene.add_object(0, pose, np.random.default_rng(1))
    change = np.abs(scene.picture - before).max(axis=2)
    mask = fine_mask(place_outline('cross', pose), 128)[2::SUBPIXELS, 2::SUBPIXELS] > 0
    assert np.percentile(change[mask], 5) > 40
    y, x = np.nonzero(change > 1)
    assert np.hypot(x - 64, y - 64).max() < 2 * pose.radius


def test_objects_stand_out_from_a_ground_as_vivid_as_they_are():
    pose = Pose(64.0, 64.0, 25.0, 0.0)
    mask = fine_mask(place_outline('disc', pose), 128)[2::SUBPIXELS, 2::SUBPIXELS] > 0
    ground = np.full((128, 128, 3), (230.0, 40.0, 40.0), np.float32)
    for seed in range(20):
        scene = Scene(ground)
        scene.add_object(1, pose, np.random.default_rng(seed))
        assert np.median(np.linalg.norm(scene.picture - ground, axis=2)[mask]) > 80


@pytest.mark.parametrize('name', CLASSES)
def test_polygons_enclose_the_outline_they_trace(name):
    contours = place_outline(name, Pose(60.3, 66.8, 31.0, 0.7, 0.9))
    mask = fine_mask(contours, 128)
    polygons = mask_polygons(mask)
    fine_area = np.count_nonzero(mask) / SUBPIXELS**2
    assert sum(map(polygon_area, polygons)) == pytest.approx(fine_area, rel=0.02)
    # A rasterised outline is drawn with its border, an eighth of a pixel too large.
    assert fine_area == pytest.approx(outline_area(contours), rel=0.05)
    rle = coco_mask.merge(coco_mask.frPyObjects(polygons, 128, 128))
    decoded = coco_mask.decode(rle)
    sampled = mask[2::SUBPIXELS, 2::SUBPIXELS]
    assert (decoded & sampled).sum() > 0.98 * (decoded | sampled).sum()


def test_a_region_with_a_hole_becomes_polygons_that_leave_the_hole_out():
    mask = fine_mask(place_outline('ring', Pose(64.0, 64.0, 40.0, 0.0)), 128)
    polygons = mask_polygons(mask)
    assert len(polygons) == 2
    decoded = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, 128, 128)))
    assert decoded[64, 64] == 0
    assert decoded[64, 64 - 30] == decoded[64, 64 + 30] == decoded[64 - 30, 64] == 1


def test_an_object_cut_in_two_has_two_polygons():
    scene, rng = _scene(), np.random.default_rng(0)
    scene.add_object(1, Pose(64.0, 64.0, 40.0, 0.0), rng)
    scene.cover(
        fine_mask([np.array([[58.0, 0.0], [70.0, 0.0], [70.0, 128.0], [58.0, 128.0]])], 128)
    )
    (annotation,), _ = annotate(scene)
    assert len(annotation['segmentation']) == 2
    hidden = 12 * 80
    assert annotation['area'] == pytest.approx(np.pi * 40**2 - hidden, rel=0.02)


def test_a_mostly_hidden_object_is_not_annotated_and_ignored_in_the_label_map():
    scene, rng = _scene(), np.random.default_rng(0)
    scene.add_object(0, Pose(64.0, 64.0, 30.0, 0.0), rng)
    scene.add_object(1, Pose(64.0, 64.0, 31.0, 0.0), rng)
    assert scene.visible_area(scene.instances[0]) == 0
    scene.add_object(3, Pose(30.0, 30.0, 20.0, 0.0), rng)
    scene.add_object(1, Pose(20.0, 30.0, 19.0, 0.0), rng)
    left = scene.visible_area(scene.instances[2])
    assert 60 < left < 0.25 * scene.instances[2].area
    annotations, labels = annotate(scene)
    assert [a['category_id'] for a in annotations] == [CATEGORY_IDS[1]] * 2
    assert set(np.unique(labels).tolist()) == {IGNORED_LABEL, 2, BACKGROUND_LABEL}


def test_a_piece_too_small_to_draw_is_ignored_in_the_label_map():
    scene = _scene()
    scene.add_object(0, Pose(64.0, 64.0, 40.0, 0.0), np.random.default_rng(0))
    # Of the right arm, all but one corner of 2 x 4 pixels is covered.
    scene.cover(fine_mask([np.array([[85.0, 40], [105.0, 40], [105.0, 72.4], [85.0, 72.4]])], 128))
    scene.cover(fine_mask([np.array([[85.0, 60], [99.9, 60], [99.9, 90], [85.0, 90]])], 128))
    (annotation,), labels = annotate(scene)
    assert len(annotation['segmentation']) == 1
    assert labels[64, 70] == 1
    assert labels[75, 101] == IGNORED_LABEL
    assert not np.any(labels[:, 86:] == 1)


@pytest.mark.parametrize('first', [0, 1])
def test_run_lengths_are_those_of_pycocotools(first):
    mask = np.random.default_rng(0).integers(0, 2, (5, 7)).astype(np.uint8)
    mask[0, 0] = first
    counts = run_lengths(mask)
    rle = coco_mask.frPyObjects({'counts': counts, 'size': [5, 7]}, 5, 7)
    np.testing.assert_array_equal(coco_mask.decode(rle), mask)


def test_same_seed_gives_the_same_bytes_with_any_number_of_workers(root, tmp_path):
    make_shapes(tmp_path / 'two', **TINY, workers=2)
    assert _digests(tmp_path / 'two') == _digests(root)


def test_another_seed_gives_other_pictures(root, tmp_path):
    make_shapes(tmp_path, **SMALLEST, seed=1)
    old, new = _digests(root), _digests(tmp_path)
    pictures = [name for name in new if name.endswith('.jpg')]
    assert len(pictures) == 2 * 5 + 2 * len(CLASSES)
    assert all(new[name] != old[name] for name in pictures)


def test_a_smaller_data_set_is_the_beginning_of_a_larger_one(root, tmp_path):
    make_shapes(tmp_path, **SMALLEST)
    old, new = _digests(root), _digests(tmp_path)
    pictures = [name for name in new if name.endswith(('.jpg', '.png'))]
    assert all(new[name] == old[name] for name in pictures)


def test_second_call_does_nothing(root, monkeypatch, capsys):
    monkeypatch.delattr(shapes, '_generate')
    manifest = make_shapes(root, **TINY)
    assert 'nothing to do' in capsys.readouterr().out
    assert manifest == json.loads((root / 'shapes.json').read_text())


def test_manifest_counts_the_files(root):
    manifest = json.loads((root / 'shapes.json').read_text())
    assert manifest['settings'] == {**TINY, 'seed': 0}
    assert manifest['files'] == len(_digests(root)) - 1


def test_other_settings_replace_our_files_and_no_others(tmp_path):
    make_shapes(tmp_path, **{**SMALLEST, 'num_train': 5})
    stranger = tmp_path / 'coco/train/holiday.jpg'
    stranger.write_bytes(b'mine')
    make_shapes(tmp_path, **SMALLEST)
    assert stranger.read_bytes() == b'mine'
    assert len(list((tmp_path / 'coco/train').iterdir())) == SMALLEST['num_train'] + 1
    assert not (tmp_path / 'ade/annotations/training/shapes_train_000004.png').exists()


def test_overwrite_makes_it_again(root, tmp_path, monkeypatch):
    make_shapes(tmp_path, **SMALLEST)
    monkeypatch.delattr(shapes, '_generate')
    with pytest.raises(NameError, match='_generate'):
        make_shapes(tmp_path, **SMALLEST, overwrite=True)


def test_an_interrupted_data_set_is_made_anew(tmp_path, monkeypatch):
    with monkeypatch.context() as patched, pytest.raises(ZeroDivisionError):
        patched.setattr(shapes, '_coco', lambda _: 1 / 0)
        make_shapes(tmp_path, **SMALLEST)
    assert json.loads((tmp_path / 'shapes.json').read_text())['files'] == 0
    manifest = make_shapes(tmp_path, **SMALLEST)
    assert len(_digests(tmp_path)) == manifest['files'] + 1


def test_a_data_set_that_lost_a_file_is_made_anew(tmp_path):
    make_shapes(tmp_path, **SMALLEST)
    lost = tmp_path / 'ade/annotations/training/shapes_train_000000.png'
    lost.unlink()
    make_shapes(tmp_path, **SMALLEST)
    assert lost.exists()


@pytest.mark.parametrize('name', ['notes.txt', 'shapes.json'])
def test_a_foreign_folder_is_refused_and_left_alone(tmp_path, name):
    (tmp_path / name).write_text('{"mine": true}')
    with pytest.raises(FileExistsError, match=tmp_path.name):
        make_shapes(tmp_path, **SMALLEST)
    assert _digests(tmp_path) == {name: _digest(b'{"mine": true}')}


def test_overwrite_keeps_the_files_of_a_foreign_folder(tmp_path):
    (tmp_path / 'notes.txt').write_text('mine')
    manifest = make_shapes(tmp_path, **SMALLEST, overwrite=True)
    files = _digests(tmp_path)
    assert files['notes.txt'] == _digest(b'mine')
    assert len(files) == manifest['files'] + 2


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / 'data').write_text('mine')
    with pytest.raises(NotADirectoryError, match='data'):
        make_shapes(tmp_path / 'data', **SMALLEST)


def test_a_write_error_is_not_swallowed(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(Path, 'write_bytes', fail)
    with pytest.raises(OSError, match='No space left'):
        make_shapes(tmp_path, **SMALLEST, workers=2)
    assert not (tmp_path / 'shapes.json').exists()


@pytest.mark.parametrize(
    ('name', 'value', 'allowed'),
    [
        ('num_train', 0, '1 to 999999'),
        ('num_val', -3, '1 to 999999'),
        ('image_size', 64, '128 to 1024'),
        ('num_cls_train', 0, '1 to 999999'),
        ('num_cls_val', 0, '1 to 999999'),
        ('cls_image_size', 513, '32 to 512'),
        ('seed', -1, '0 to 4294967295'),
        ('workers', 0, '1 to 1024'),
    ],
)
def test_a_bad_argument_is_named_with_what_is_allowed(tmp_path, name, value, allowed):
    with pytest.raises(ValueError, match=rf'{name}={value} must be from {allowed}$'):
        make_shapes(tmp_path / 'data', **{**SMALLEST, name: value})
    assert not (tmp_path / 'data').exists()


def test_an_unknown_setting_is_named_with_the_nearest(tmp_path):
    with pytest.raises(ValueError, match="'num_trian' is unknown.*did you mean 'num_train'"):
        make_shapes(tmp_path, num_trian=4)


def test_a_fractional_number_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r'num_train=1\.5 must be an integer'):
        make_shapes(tmp_path, num_train=1.5)


def test_an_unknown_shape_is_named_with_those_allowed():
    with pytest.raises(ValueError, match=r"'hexagon'.*cross, disc, ring, triangle"):
        unit_outline('hexagon')


def _options(settings):
    return [f'--{name.replace("_", "-")}={value}' for name, value in settings.items()]


def test_command_line_makes_what_the_function_makes(root, tmp_path, capsys):
    main([f'--out-dir={tmp_path / "data"}', *_options(TINY)])
    assert _digests(tmp_path / 'data') == _digests(root)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ['making', 'done:']
