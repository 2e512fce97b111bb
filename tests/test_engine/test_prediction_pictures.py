"""Pictures of a test have different names, from which their image can be told."""

from types import SimpleNamespace
from unittest import mock

import pytest

from mmrsir.engine.hooks import prediction_pictures
from mmrsir.engine.hooks.prediction_pictures import picture_names


class Images(list):
    def get_data_info(self, index):
        return dict(img_path=self[index])


@pytest.mark.parametrize(
    ('paths', 'names'),
    [
        (['d/val/1.png', 'd/val/2.png'], ['1.jpg', '2.jpg']),
        (['d/cat/1.png', 'd/dog/1.png'], ['cat_1.jpg', 'dog_1.jpg']),
        (['1.png', '1.webp', '2.png'], ['1.png.jpg', '1.webp.jpg', '2.jpg']),
    ],
)
def test_names_of_pictures_differ(paths, names):
    assert list(picture_names(Images(paths)).values()) == names


def test_how_a_config_reads_images_is_found_once_a_test():
    loader = SimpleNamespace(dataset=Images(['1.png', '2.png', '3.png']))
    runner = SimpleNamespace(test_dataloader=loader, cfg=None, visualizer=None)
    parts = {
        name: mock.patch.object(prediction_pictures, name)
        for name in ('Reading', 'read_picture', 'draw_sample')
    }
    with parts['Reading'] as reading, parts['read_picture'], parts['draw_sample'] as draw:
        hook = prediction_pictures.TestPicturesHook('out')
        hook.before_test_epoch(runner)
        for index, path in enumerate(loader.dataset):
            hook.after_test_iter(runner, index, outputs=[SimpleNamespace(img_path=path)])
        assert (reading.of_config.call_count, draw.call_count) == (1, 3)
