"""The checkpoints of a run: only whole ones of the same job are gone on from."""

import shutil
import sys
from pathlib import Path

import manifest


def newest(folder, job):
    """The newest whole checkpoint of this job, or None. Newer ones that are damaged are removed, and said so.

    Raises manifest.Damaged where a whole checkpoint belongs to a job with other settings or data.
    """
    for path in sorted(Path(folder).glob("checkpoint-*"), key=_step, reverse=True):
        try:
            facts = manifest.verify(path)
        except manifest.Damaged as error:
            print(f"left out: {error}", file=sys.stderr)
            shutil.rmtree(path)
            continue
        if facts.get("job") != job:
            raise manifest.Damaged(f"{path}: belongs to a job with other settings or data; start anew without --resume")
        return path
    return None


def _step(path):
    number = path.name.rpartition("-")[2]
    return int(number) if number.isdigit() else -1
