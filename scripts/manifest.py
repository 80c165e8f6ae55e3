"""Which files a folder must hold to be whole: written last and to disk, so that a crash never leaves a folder
that only looks whole. Checkpoints and unpacked bases carry one. By hand, to check a folder:

    python manifest.py checkpoints/checkpoint-20
"""

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

from job import RunError

NAME = "manifest.json"


class Damaged(RunError):
    """The folder is not what its manifest says."""


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(folder, **facts):
    """Bring the folder's files to disk, then name them and facts in its manifest."""
    folder = Path(folder)
    files = {}
    for path in sorted(p for p in folder.iterdir() if p.is_file() and p.name != NAME):
        sync(path)
        files[path.name] = {"size": path.stat().st_size, "sha256": sha256(path)}
    write_json(folder / NAME, {**facts, "files": files})


def verify(folder, hashes=True):
    """Return what the manifest says. Raises Damaged where a file is missing, cut or, with hashes, changed."""
    folder = Path(folder)
    try:
        facts = json.loads((folder / NAME).read_text(encoding="utf-8"))
        files = facts["files"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise Damaged(f"{folder}: no valid {NAME}") from None
    for name, want in files:
        path = folder / name
        if not path.is_file() or path.stat().st_size != want["size"]:
            raise Damaged(f"{path}: missing or cut off")
        if hashes and sha256(path) != want["sha256"]:
            raise Damaged(f"{path}: content was changed")
    return facts


def remove_remains(folder):
    """Remove what processes that were killed while they filled folder have left beside it: .<its name>.<their pid>"""
    for path in folder.parent.glob(f".{folder.name}.*"):
        number = path.name.rpartition(".")[2]
        if number.isdigit() and not alive(int(number)):
            shutil.rmtree(path, ignore_errors=True)


def alive(pid):
    if os.name == "nt":
        return True  # to ask would be to interrupt it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        pass
    return True


def write_json(path, value):
    """Write value so that path holds all of it or what it held before."""
    temporary = Path(f"{path}.part")
    temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    move(temporary, path)


def move(source, target):
    """Give a finished file its name, for good."""
    sync(source)
    os.replace(source, target)
    sync(Path(target).parent)


def sync(path):
    if os.name == "nt" and Path(path).is_dir():
        return  # Windows cannot open a folder
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


if __name__ == "__main__":
    try:
        print(json.dumps(verify(sys.argv[1]), indent=1))
    except Damaged as error:
        sys.exit(f"error: {error}")
