"""Models and run directories for the tests. Run them in the folder above with: python -m unittest"""

import functools
import json
import os
import random
import sys
import tempfile
from pathlib import Path

SCRIPTS = Path(__file__).parent.parent
sys.path.insert(0, str(SCRIPTS))

import run  # noqa: E402

run.prepare_environment(1)
_place = tempfile.TemporaryDirectory(prefix="retort-scripts-")
PLACE = Path(_place.name)


@functools.cache
def model(name):
    """The folder of a tiny model: hf/, model.gguf, and base/, which is unpacked from it."""
    import tiny
    import unpack

    folder = PLACE / name
    folder.mkdir()
    tiny.make(name, folder)
    unpack.unpack(folder / "model.gguf", folder / "base")
    return folder


def job(name="llama", **changes):
    """The content of a job.json for a tiny model. changes may name parts: train={"epochs": 2}."""
    import tiny

    value = {
        "id": "test",
        "method": "sft",
        "base": {"id": name, "gguf": f"../{name}/model.gguf", "digest": "", "architecture": tiny.MODELS[name][2]},
        "hf_base": f"../{name}/base",
        "seed": 7,
        "lora": {"rank": 4, "alpha": 8, "dropout": 0.0, "targets": "all-linear"},
        "train": {
            "epochs": 2, "batch_size": 4, "gradient_accumulation": 1, "learning_rate": 5e-3, "warmup_ratio": 0.1,
            "schedule": "linear", "weight_decay": 0.0, "max_length": 64, "checkpoint_steps": 3,
        },
        "profile": "cpu",
        "threads": 1,
        "fast_loss": True,
    }  # fmt: skip
    for key, change in changes.items():
        value[key] = {**value[key], **change} if isinstance(change, dict) else change
    return value


def directory(value, count=22):
    """A run directory for a job, with examples that share a beginning and can be learnt. Its base is made, too."""
    model(value["base"]["id"])
    folder = Path(tempfile.mkdtemp(dir=PLACE))
    (folder / "data").mkdir()
    (folder / "job.json").write_text(json.dumps(value))
    with open(folder / "data/train.jsonl", "w") as file:
        for ids, labels in rows(count):
            line = {"messages": [], "input_ids": ids, "completion_mask": [int(label != -100) for label in labels]}
            file.write(json.dumps(line) + "\n")
    return folder


def rows(count=22):
    """Examples whose answer follows from the token before it: (input_ids, labels)."""
    dice, out = random.Random(5), []
    for _ in range(count):
        kind = dice.randrange(4)
        prompt = [5, 6, 7, 8] + [dice.randrange(20, 300) for _ in range(dice.randrange(3, 12))] + [10 + kind]
        answer = [310 + kind, 320 + kind, 3][dice.randrange(2) :]
        out.append((prompt + answer, [-100] * len(prompt) + answer))
    return out


class Silent:
    """Stands in for reporting.Progress and keeps the events."""

    def __init__(self):
        self.events = []

    def emit(self, event, **values):
        self.events.append({"event": event, **values})


def environment():
    return {**os.environ, "PYTHONPATH": str(SCRIPTS)}
