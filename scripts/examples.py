"""The examples of a run directory, data/train.jsonl: token ids that the engine made with the base's own tokenizer
and chat template, so nothing here tokenises. By hand, to check them:

    python examples.py job.json
"""

import json
import sys

from job import JobError, load


def read(job):
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


if __name__ == "__main__":
    try:
        print(f"{len(read(load(sys.argv[1])))} examples")
    except JobError as error:
        sys.exit(f"error: {error}")
