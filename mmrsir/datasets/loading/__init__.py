"""Loading of images and masks, which refuses damaged files."""
