"""What a data set holds, apart from its faults: names, counts and fingerprints of its images."""

from collections.abc import Generator
from dataclasses import dataclass, field

from ..class_counts import ClassCounts
from ..class_names import Naming
from .faults import Fault


@dataclass
class Content:
    """What a data set holds.

    Attributes:
        found: What its files call the labels; None if they do not name them.
        counts: How often each class occurs; None where the classes are not known.
        digests: A digest of the pixels of each image that could be decoded, by its path.
        objects: Number of objects of each image, without crowds; empty for other tasks.
        labels: The class of each image by its path; empty for detection and segmentation.
    """

    found: Naming | None = None
    counts: ClassCounts | None = None
    digests: dict[str, bytes] = field(default_factory=dict)
    objects: list[int] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)


# What the check of a data set yields, and returns.
Findings = Generator[Fault, None, Content]
