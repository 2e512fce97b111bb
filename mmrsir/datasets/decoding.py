"""Strict decoding of images."""

from io import BytesIO

from PIL import Image


def decode_strictly(data: bytes, formats: tuple[str, ...] | None = None) -> Image.Image:
    """Decode an image to its last byte with Pillow.

    Args:
        data: Content of its file.
        formats: Pillow's names of the formats that are allowed; None for all.

    Returns:
        The image.

    Raises:
        UnidentifiedImageError: It is of none of the formats.
        Exception: It is broken; what Pillow raises then is not bounded.
    """
    with Image.open(BytesIO(data), formats=formats) as image:
        image.verify()  # the checksums of PNG, which decoding passes over
    image = Image.open(BytesIO(data), formats=formats)
    image.load()
    return image
