"""Where a model errs: what it takes for what, class by class, and the images that it does worst."""
