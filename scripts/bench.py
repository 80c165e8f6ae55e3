"""Measure a training step with fast_loss against TRL's own loss and batches, on an unpacked base. By hand:

    python bench.py base-folder [--steps 7] [--batch 8] [--threads 2] [--profile cuda] [--longer 1]

All do the same work in an order drawn for each step, the same examples in float32 (bfloat16 on a GPU): "fast" is ours,
"trl" has TRL's default settings, which compute activations twice to save memory, "trl_plain" does not. Prints one JSON
object; seconds are medians, and gigabytes what a step takes on the GPU besides the models.
"""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time

import job as jobs
import run
import sft


def rows(count, vocabulary, longer):
    """Examples of 24 to 44 tokens: all share the first 8, as a chat template makes them, and 2 to 4 are learnt.
    longer multiplies all that but the first 8."""
    dice = random.Random(1)

    def words(n):
        return [dice.randrange(vocabulary) for _ in range(n)]

    out, opening = [], words(8)
    for _ in range(count):
        prompt, answer = opening + words(longer * dice.randint(14, 32)), words(longer * dice.randint(2, 4))
        out.append((prompt + answer, [-100] * len(prompt) + answer))
    return out


KINDS = {  # fast_loss, changes to TRL's settings
    "fast": (True, {}),
    "trl": (False, {"gradient_checkpointing": True}),
    "trl_plain": (False, {}),
}


def trainers(args, examples, folder):
    settings = {
        "id": "bench",
        "method": "sft",
        "base": jobs.Base("", "", "", ""),
        "hf_base": os.path.abspath(args.base),
        "seed": 1,
        "lora": jobs.LoRA(16, 32.0, 0.0, "all-linear"),
        "train": jobs.Train(1, args.batch, 1, 5e-4, 0.0, "linear", 0.0, 1024, 1000),
        "profile": args.profile,
        "threads": args.threads,
        "directory": folder,
    }
    for kind, (fast_loss, changes) in KINDS.items():
        trainer = sft.build(jobs.Job(fast_loss=fast_loss, **settings), examples, **changes)
        trainer.accelerator.prepare_model(trainer.model)  # this and the next, train() would do
        if trainer.args.gradient_checkpointing:
            trainer.model.activation_checkpointing_enable()
        trainer.model.train()
        yield kind, trainer


def step(trainer, batch):
    """Seconds, gigabytes on the GPU and loss of one step, up to its gradients."""
    import torch

    learnt = (batch["labels"][:, 1:] != -100).sum()
    before = torch.cuda.memory_allocated()  # 0 without a GPU
    if before:
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    loss = trainer.training_step(trainer.model, batch, learnt).item()
    seconds = time.perf_counter() - began
    trainer.model.zero_grad()
    return seconds, (torch.cuda.max_memory_allocated() - before) / 1e9, loss


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base")
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--profile", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--longer", type=int, default=1)
    args = parser.parse_args()
    run.prepare_environment(args.threads)
    with open(os.path.join(args.base, "config.json"), encoding="utf-8") as file:
        vocabulary = json.load(file)["vocab_size"]
    examples = rows((args.steps + 1) * args.batch, vocabulary, args.longer)  # the first step warms up
    dice = random.Random(2)
    seconds, memory, apart = {kind: [] for kind in KINDS}, dict.fromkeys(KINDS, 0.0), 0.0
    with tempfile.TemporaryDirectory() as folder:
        runs = dict(trainers(args, examples, folder))
        for batches in zip(*(trainer.get_train_dataloader() for trainer in runs.values())):
            losses = []
            for kind, batch in dice.sample(list(zip(runs, batches)), len(runs)):
                taken, gigabytes, loss = step(runs[kind], batch)
                seconds[kind].append(taken)
                memory[kind] = max(memory[kind], gigabytes)
                losses.append(loss)
            apart = max(apart, max(losses) - min(losses))
    median = {kind: statistics.median(taken[1:]) for kind, taken in seconds.items()}
    result = {
        "base": args.base,
        "batch": args.batch,
        "tokens_per_step": round(statistics.mean(len(ids) for ids, _ in examples) * args.batch),
        "steps": args.steps,
        "threads": args.threads,
        "profile": args.profile,
        **{f"{kind}_seconds": round(value, 4) for kind, value in median.items()},
        **{f"{kind}_gigabytes": round(value, 3) for kind, value in memory.items() if value},
        "ratio": round(median["trl"] / median["fast"], 2),
        "ratio_plain": round(median["trl_plain"] / median["fast"], 2),
        "loss_difference": apart,
    }
    print(json.dumps(result))
    return 0 if apart < (1e-3 if args.profile == "cpu" else 0.05) else 1  # bfloat16 has eight bits


if __name__ == "__main__":
    sys.exit(main())
