"""What a data set holds, apart from its faults: names, counts and fingerprints of its images."""

from collections.abc import Generator
from dataclasses import dataclass, field

from ..class_counts import ClassCounts
from ..class_names import Naming
from .faults import Fault


@dataclass
class Content:
    found: Naming | None = None  # what its files call the labels
    counts: ClassCounts | None = None
    digests: dict[str, bytes] = field(default_factory=dict)  # of the pixels, by path
    objects: list[int] = field(default_factory=list)  # of each image, without crowds
    labels: dict[str, str] = field(default_factory=dict)  # the class of each image, by path


# What the check of a data set yields, and returns.
Findings = Generator[Fault, None, Content]
