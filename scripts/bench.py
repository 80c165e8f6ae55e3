"""Measure a training step with fast_loss against TRL's own loss and batches, on an unpacked base. By hand:

    python bench.py base-folder [--steps 7] [--batch 8] [--threads 2]

Both do the same work in turn: the same examples, float32, no activation checkpointing (TRL's default settings add
that, and bfloat16, which is slower still where the processor lacks it). Prints one JSON object; seconds are medians.
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


def rows(count, vocabulary):
    """Examples of 24 to 44 tokens, of which all share the first 8, as a chat template makes them, and 2 to 4 are learnt."""
    dice = random.Random(1)

    def words(n):
        return [dice.randrange(vocabulary) for _ in range(n)]

    out, opening = [], words(8)
    for _ in range(count):
        prompt, answer = opening + words(dice.randint(14, 32)), words(dice.randint(2, 4))
        out.append((prompt + answer, [-100] * len(prompt) + answer))
    return out


def trainer(base, fast_loss, examples, batch, threads, folder):
    job = jobs.Job(
        id="bench",
        method="sft",
        base=jobs.Base("", "", "", ""),
        hf_base=base,
        seed=1,
        lora=jobs.LoRA(16, 32.0, 0.0, "all-linear"),
        train=jobs.Train(1, batch, 1, 5e-4, 0.0, "linear", 0.0, 1024, 1000),
        profile="cpu",
        threads=threads,
        fast_loss=fast_loss,
        directory=folder,
    )
    return sft.build(job, examples)


def step(trainer, batch):
    """Seconds and loss of one step, up to its gradients."""
    learnt = (batch["labels"][:, 1:] != -100).sum()
    began = time.perf_counter()
    loss = trainer.training_step(trainer.model, batch, learnt).item()
    seconds = time.perf_counter() - began
    trainer.model.zero_grad()
    return seconds, loss


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base")
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    run.prepare_environment(args.threads)
    with open(os.path.join(args.base, "config.json"), encoding="utf-8") as file:
        vocabulary = json.load(file)["vocab_size"]
    examples = rows((args.steps + 1) * args.batch, vocabulary)  # the first step warms up
    seconds, apart = {True: [], False: []}, 0.0
    with tempfile.TemporaryDirectory() as folder:
        base = os.path.abspath(args.base)
        both = {fast: trainer(base, fast, examples, args.batch, args.threads, folder) for fast in (True, False)}
        for fast in both:
            both[fast].model.train()
        for batches in zip(*(both[fast].get_train_dataloader() for fast in both)):
            losses = []
            for fast, batch in zip(both, batches):
                taken, loss = step(both[fast], batch)
                seconds[fast].append(taken)
                losses.append(loss)
            apart = max(apart, abs(losses[0] - losses[1]))
    fast, default = (statistics.median(seconds[kind][1:]) for kind in (True, False))
    result = {
        "base": args.base,
        "batch": args.batch,
        "tokens_per_step": round(statistics.mean(len(ids) for ids, _ in examples) * args.batch),
        "steps": args.steps,
        "threads": args.threads,
        "fast_seconds": round(fast, 4),
        "trl_seconds": round(default, 4),
        "ratio": round(default / fast, 2),
        "loss_difference": apart,
    }
    print(json.dumps(result))
    return 0 if apart < 1e-3 else 1


if __name__ == "__main__":
    sys.exit(main())
