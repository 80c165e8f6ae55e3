"""The job of a run directory: what job.json says.

Everything else starts from load(). By hand, to check a job:

    python job.py job.json
"""

import json
import math
import os
import sys
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from pathlib import Path


class RunError(Exception):
    """A run that cannot go on; its text is one line for the person who started it."""


class JobError(RunError):
    """A job that cannot be run as it is written."""


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


AT_LEAST_1 = (lambda v: v >= 1, "at least 1")
MORE_THAN_0 = (lambda v: v > 0, "more than 0")
NOT_NEGATIVE = (lambda v: v >= 0, "0 or more")
NOT_EMPTY = (bool, "a text that is not empty")

LIMITS = {
    "id": NOT_EMPTY,
    "method": (lambda v: v == "sft", '"sft"'),
    "base.gguf": NOT_EMPTY,
    "hf_base": NOT_EMPTY,
    "seed": (lambda v: 0 <= v < 2**32, "0 to 4294967295"),
    "profile": (lambda v: v in ("cpu", "cuda"), '"cpu" or "cuda"'),
    "threads": AT_LEAST_1,
    "lora.rank": AT_LEAST_1,
    "lora.alpha": MORE_THAN_0,
    "lora.dropout": (lambda v: 0 <= v < 1, "0 to below 1"),
    "lora.targets": NOT_EMPTY,
    "train.epochs": AT_LEAST_1,
    "train.batch_size": AT_LEAST_1,
    "train.gradient_accumulation": AT_LEAST_1,
    "train.learning_rate": MORE_THAN_0,
    "train.warmup_ratio": (lambda v: 0 <= v <= 1, "0 to 1"),
    "train.schedule": (lambda v: v in ("linear", "cosine", "constant"), '"linear", "cosine" or "constant"'),
    "train.weight_decay": NOT_NEGATIVE,
    "train.max_length": AT_LEAST_1,
    "train.checkpoint_steps": AT_LEAST_1,
}


def load(path):
    """Read and check job.json. Raises JobError."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as cause:
        raise JobError(f"read {path}: {cause}") from None
    job = _build(Job, value, "")
    return replace(job, directory=os.path.dirname(os.path.abspath(path)))


def _build(cls, value, prefix):
    if not isinstance(value, dict):
        raise JobError(f'job.json: "{prefix.rstrip(".") or "job"}": want an object')
    names = {field.name for field in fields(cls)}
    if unknown := sorted(value.keys() - names):
        raise JobError(f'job.json: unknown key "{prefix}{unknown[0]}"')
    if missing := [f.name for f in fields(cls) if f.default is MISSING and f.name not in value]:
        raise JobError(f'job.json: "{prefix}{missing[0]}" is missing')
    return cls(**{f.name: _field(f, value[f.name], prefix + f.name) for f in fields(cls) if f.name in value})


def _field(field, value, name):
    if is_dataclass(field.type):
        return _build(field.type, value, name + ".")
    if field.type is float and type(value) is int:
        value = float(value)
    right, want = LIMITS.get(name, (lambda v: True, ""))
    if type(value) is not field.type or (type(value) is float and not math.isfinite(value)):
        want = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}[field.type]
        raise JobError(f'job.json: "{name}": want {want}, got {json.dumps(value)[:40]}')
    if not right(value):
        raise JobError(f'job.json: "{name}": want {want}, got {json.dumps(value)[:40]}')
    return value


if __name__ == "__main__":
    try:
        load(sys.argv[1])
    except JobError as error:
        sys.exit(f"error: {error}")
