"""Names of runs, for the folders in which tools leave results."""

from pathlib import Path


def run_name(config: str, checkpoint: str | None = None) -> str:
    """Return the name of a config, or that of a checkpoint and of the run that it is of."""
    if checkpoint is None:
        return Path(config).stem
    path = Path(checkpoint.rpartition('://')[2])
    folder = path.parent.name if '://' in checkpoint else path.resolve().parent.name
    return f'{folder}_{path.stem}' if folder else path.stem
