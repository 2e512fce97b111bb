"""Pictures of a test have different names, from which their image can be told."""

import pytest

from mmrsir.engine.hooks.prediction_pictures import picture_names


@pytest.mark.parametrize(
    ('paths', 'names'),
    [
        (['d/val/1.png', 'd/val/2.png'], ['1.jpg', '2.jpg']),
        (['d/cat/1.png', 'd/dog/1.png'], ['cat_1.jpg', 'dog_1.jpg']),
        (['1.png', '1.webp', '2.png'], ['1.png.jpg', '1.webp.jpg', '2.jpg']),
    ],
)
def test_names_of_pictures_differ(paths, names):
    class Images(list):
        def get_data_info(self, index):
            return dict(img_path=self[index])

    assert list(picture_names(Images(paths)).values()) == names
