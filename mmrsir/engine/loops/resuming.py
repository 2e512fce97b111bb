"""Which checkpoint an interrupted training goes on from."""

import os
import re
from pathlib import Path

from ...checkpoints.seal import CorruptCheckpointError, check_intact
from ..hooks.checkpoint import POINTER

# Those of a training, not the best ones, which hold no optimizer.
CHECKPOINT = re.compile(r'(epoch|iter)_\d+\.pth')


def newest_checkpoint(work_dir: str | os.PathLike[str]) -> Path | None:
    """Return the checkpoint that ``last_checkpoint`` points to, or else the newest intact one."""
    damaged = []
    for path in _candidates(Path(work_dir)):
        try:
            check_intact(path)
        except (CorruptCheckpointError, OSError) as error:
            damaged.append(str(error))
            continue
        if damaged:
            print(f'warning: {"; ".join(damaged)}; {path} is resumed')
        return path
    if damaged:
        raise CorruptCheckpointError(
            f'no checkpoint can be resumed: {"; ".join(damaged)}. '
            'Train without --resume to begin again'
        )
    return None


def _candidates(work_dir: Path) -> list[Path]:
    pointer = work_dir / POINTER
    target = pointer.read_text().strip() if pointer.is_file() else ''
    pointed = [Path(target)] if target else []
    folders = {work_dir, *(path.parent for path in pointed)}
    if pointed and (work_dir / pointed[0].name).is_file():  # the folder may have been moved
        pointed = [work_dir / pointed[0].name]
    found = [
        path
        for folder in folders
        if folder.is_dir()
        for path in folder.iterdir()
        if CHECKPOINT.fullmatch(path.name) and path not in pointed
    ]
    return pointed + sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)
