"""A data set of generated shapes on photographs, in the layouts of COCO, ADE20K and ImageNet."""
