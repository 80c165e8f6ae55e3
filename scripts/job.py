"""The job of a run directory: what job.json and data/train.jsonl say, and the progress that goes out.

Everything else in this folder starts from load(). By hand, to check a job:

    python job.py job.json
"""

import json
import os
import sys
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path


class JobError(Exception):
    """A job that cannot be run as it is written; its text is one line for the person who wrote it."""


@dataclass(frozen=True)
class Base:
    id: str
    gguf: str  # path of the file
    digest: str  # "sha256:<hex>" of the file
    architecture: str


@dataclass(frozen=True)
class LoRA:
    rank: int
    alpha: float  # the adapter is scaled by alpha / rank
    dropout: float
    targets: str  # "all-linear", or names of modules with commas between


@dataclass(frozen=True)
class Train:
    epochs: int
    batch_size: int  # examples in one pass
    gradient_accumulation: int  # passes in one step
    learning_rate: float
    warmup_ratio: float  # of all steps
    schedule: str
    weight_decay: float
    max_length: int  # tokens
    checkpoint_steps: int


@dataclass(frozen=True)
class Job:
    id: str
    method: str
    base: Base
    hf_base: str  # folder of the unpacked base
    seed: int
    lora: LoRA
    train: Train
    profile: str
    threads: int
    fast_loss: bool
    chat_template: str = ""  # Jinja; a record only, the data are tokens already
    directory: str = ""  # of job.json; relative paths start here

    def path(self, name):
        return Path(self.directory, name)


LIMITS = {
    "method": (lambda v: v == "sft", '"sft"'),
    "profile": (lambda v: v in ("cpu", "cuda"), '"cpu" or "cuda"'),
    "threads": (lambda v: v >= 1, "at least 1"),
    "seed": (lambda v: 0 <= v < 2**32, "0 to 4294967295"),
    "lora.rank": (lambda v: v >= 1, "at least 1"),
    "lora.alpha": (lambda v: v > 0, "more than 0"),
    "lora.dropout": (lambda v: 0 <= v < 1, "0 to below 1"),
    "train.epochs": (lambda v: v >= 1, "at least 1"),
    "train.batch_size": (lambda v: v >= 1, "at least 1"),
    "train.gradient_accumulation": (lambda v: v >= 1, "at least 1"),
    "train.learning_rate": (lambda v: 0 < v < 1, "more than 0 and below 1"),
    "train.warmup_ratio": (lambda v: 0 <= v <= 1, "0 to 1"),
    "train.schedule": (lambda v: v in ("linear", "cosine", "constant"), '"linear", "cosine" or "constant"'),
    "train.weight_decay": (lambda v: v >= 0, "0 or more"),
    "train.max_length": (lambda v: v >= 2, "at least 2"),
    "train.checkpoint_steps": (lambda v: v >= 1, "at least 1"),
}


def load(path):
    """Read and check job.json. Raises JobError."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as cause:
        raise JobError(f"read {path}: {cause}") from None
    if isinstance(value, dict):
        value["directory"] = os.path.dirname(os.path.abspath(path))
    return _build(Job, value, "")


def _build(cls, value, prefix):
    if not isinstance(value, dict):
        raise JobError(f"job.json: {prefix.rstrip('.') or 'job'}: want an object")
    names = {f.name for f in fields(cls)}
    if unknown := sorted(value.keys() - names):
        raise JobError(f'job.json: unknown key "{prefix}{unknown[0]}"')
    return cls(**{f.name: _field(f, value, prefix + f.name) for f in fields(cls) if f.name in value or f.default != ""})


def _field(field, value, name):
    if field.name not in value:
        raise JobError(f'job.json: "{name}" is missing')
    v = value[field.name]
    if is_dataclass(field.type):
        return _build(field.type, v, name + ".")
    if field.type is float and type(v) is int:
        v = float(v)
    if type(v) is not field.type:
        raise JobError(f'job.json: "{name}": want {field.type.__name__}, got {json.dumps(v)[:40]}')
    right, want = LIMITS.get(name, (bool, "a value") if field.type is str and field.default else (lambda v: True, ""))
    if not right(v):
        raise JobError(f'job.json: "{name}": want {want}, got {json.dumps(v)[:40]}')
    return v


def examples(job):
    """The examples of data/train.jsonl as (input_ids, labels); a label of -100 is not learnt. Raises JobError."""
    rows = []
    try:
        with open(job.path("data/train.jsonl"), encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                rows.append(_example(line, job.train.max_length, f"data/train.jsonl:{number}"))
    except OSError as cause:
        raise JobError(f"read data/train.jsonl: {cause.strerror}") from None
    if not rows:
        raise JobError("data/train.jsonl: no examples")
    return rows


def _example(line, max_length, where):
    try:
        value = json.loads(line)
        ids, mask = value["input_ids"], value["completion_mask"]
        whole = all(type(i) is int and i >= 0 for i in ids) and len(ids) == len(mask)
    except (ValueError, KeyError, TypeError):
        raise JobError(f"{where}: want an object with input_ids and completion_mask") from None
    if not whole or not set(mask) <= {0, 1}:
        raise JobError(f"{where}: want token ids and as many 0 or 1 in completion_mask")
    if len(ids) > max_length:
        raise JobError(f"{where}: {len(ids)} tokens, more than max_length {max_length}")
    if 1 not in mask or mask[0] != 0:
        raise JobError(f"{where}: want a prompt first and at least one token to learn")
    return ids, [i if m else -100 for i, m in zip(ids, mask)]


class Progress:
    """Writes events as JSON lines to progress.jsonl and to stdout."""

    def __init__(self, job):
        self.file = open(job.path("progress.jsonl"), "a", encoding="utf-8")

    def emit(self, event, **values):
        line = json.dumps({"event": event, **values})
        print(line, flush=True)
        self.file.write(line + "\n")
        self.file.flush()


if __name__ == "__main__":
    try:
        print(f"{len(examples(load(sys.argv[1])))} examples")
    except JobError as error:
        sys.exit(f"error: {error}")
