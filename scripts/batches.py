"""What the trainer sees in one pass, and in which order.

Short examples of one batch are packed into a single row: no padding is computed, and a beginning that all of them
share (system prompt, first words of the template) is computed once instead of once per example. An attention mask
keeps them apart, so loss and gradients are those of the padded batch.
"""

import random

# A packed row attends densely, at a cost that grows with its square: beyond this, padding is cheaper.
MAX_PACKED = 1024

# What is kept for the backward pass grows with every token (3 to 4 MB for 1.5 billion weights in bfloat16), so
# a batch of long examples is computed in parts.
MAX_TOKENS = 4096

# Model types whose masks and positions this is proven for (tests/test_loss.py); others are padded.
PACKABLE = {"llama", "mistral", "qwen2", "qwen3", "gemma3_text"}


def order(count, epochs, seed):
    """The indices of the examples for all epochs, each epoch shuffled anew."""
    indices = []
    for epoch in range(epochs):
        turn = list(range(count))
        random.Random(f"{seed}/{epoch}").shuffle(turn)
        indices += turn
    return indices


def packable_length(config):
    """How long an example may be to be packed: 0 where the model must not be packed at all."""
    if config.model_type not in PACKABLE or config._attn_implementation != "sdpa":
        return 0
    return min(getattr(config, "sliding_window", None) or MAX_PACKED, MAX_PACKED)


def collator(config):
    """The function that makes a batch of rows with input_ids and labels."""
    longest = packable_length(config)

    def collate(rows):
        shared = shared_prefix(rows)
        lengths = [len(row["input_ids"]) for row in rows]
        if max(lengths) <= longest and sum(lengths) - shared * (len(rows) - 1) <= MAX_PACKED:
            return pack(rows, shared)
        return pad(rows)

    return collate


def shared_prefix(rows):
    """How many tokens all rows begin with, short of the last token before the first one to learn: that token's
    hidden state predicts something else in each row."""
    first = rows[0]["input_ids"]
    end = min(next(i for i, label in enumerate(row["labels"]) if label != -100) for row in rows) - 1
    for i in range(end):
        if any(row["input_ids"][i] != first[i] for row in rows):
            return i
    return max(end, 0)


def pack(rows, shared):
    """One row of the shared beginning and then each example's own rest."""
    import torch

    ids, labels = list(rows[0]["input_ids"][:shared]), [-100] * shared
    positions, owners = list(range(shared)), [0] * shared
    for number, row in enumerate(rows, 1):
        ids += row["input_ids"][shared:]
        labels += row["labels"][shared:]
        positions += range(shared, len(row["input_ids"]))
        owners += [number] * (len(row["input_ids"]) - shared)
    owner = torch.tensor(owners)
    visible = (owner[:, None] == owner[None, :]) | (owner == 0)[None, :]
    return {
        "input_ids": torch.tensor([ids]),
        "labels": torch.tensor([labels]),
        "position_ids": torch.tensor([positions]),
        "attention_mask": visible.tril()[None, None],
    }


def parts(batch):
    """The rows of a batch in parts of MAX_TOKENS at most, but one row at least."""
    count, length = batch["input_ids"].shape
    size = max(1, MAX_TOKENS // length)
    return [{key: value[i : i + size] for key, value in batch.items()} for i in range(0, count, size)]


def pad(rows):
    """One row per example, filled up on the right."""
    import torch

    longest = max(len(row["input_ids"]) for row in rows)

    def fill(values, filler):
        return torch.tensor([list(v) + [filler] * (longest - len(v)) for v in values])

    return {
        "input_ids": fill([row["input_ids"] for row in rows], 0),
        "labels": fill([row["labels"] for row in rows], -100),
        "attention_mask": fill([[1] * len(row["input_ids"]) for row in rows], 0),
    }
