"""Supervised fine-tuning of a LoRA adapter with TRL and PEFT, on examples that are tokens already.

Reads job.json and data/train.jsonl, writes checkpoints/ and adapter/. It is a part of run.py, which comes first:

    python run.py job.json [--resume]
"""

import hashlib
import json
import math
import os
import shutil

import batches
import checkpoints
from completion import trainer_class
from job import RunError
from reporting import reporter


class Interrupted(Exception):
    """The training was told to stop and saved a checkpoint at step args[0]."""


def train(job, rows, trainer, progress, stop, resume=False):
    """Train the adapter and return what result.json says of it. stop() is asked after every step.

    Raises Interrupted when stop() was true and a checkpoint was saved, manifest.Damaged when resume finds
    checkpoints of another job.
    """
    mark = fingerprint(job, rows)
    start = checkpoints.newest(job.path("checkpoints"), mark) if resume else None
    if start is None:
        shutil.rmtree(job.path("checkpoints"), ignore_errors=True)
    lengths = [len(ids) for ids, _ in visits(job, rows)]
    trainer.add_callback(reporter(job, lengths, progress, mark, stop))
    trainer.train(resume_from_checkpoint=start and str(start))
    state = trainer.state
    if state.global_step < state.max_steps:
        raise Interrupted(state.global_step)
    save(trainer.model, job.path("adapter"))
    losses = [line["loss"] for line in state.log_history if "loss" in line]
    some = max(1, len(losses) // 10)  # one step's loss says little, it is that of a few examples
    return {
        "steps": state.global_step,
        "examples": len(rows),
        "loss": sum(losses[-some:]) / some,
        "loss_first": sum(losses[:some]) / some,
    }


def visits(job, rows):
    """The examples as they are seen, all epochs one after the other: to go on from a step is then to skip some."""
    return [rows[i] for i in batches.order(len(rows), job.train.epochs, job.seed)]


def build(job, rows, **changes):
    """The trainer for a job, its model loaded and its LoRA layers in place. changes are to TRL's settings."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM

    if job.profile == "cuda" and not torch.cuda.is_available():
        raise RunError("PyTorch cannot use a GPU here; with CUDA_VISIBLE_DEVICES=-1 new runs train on the CPU")
    torch.set_num_threads(job.threads)
    model = AutoModelForCausalLM.from_pretrained(
        job.path(job.hf_base),
        dtype=torch.bfloat16 if job.profile == "cuda" else torch.float32,
        local_files_only=True,
    )
    targets = job.lora.targets
    lora = LoraConfig(
        task_type="CAUSAL_LM",
        r=job.lora.rank,
        lora_alpha=job.lora.alpha,
        lora_dropout=job.lora.dropout,
        target_modules=targets if targets == "all-linear" else targets.split(","),
    )
    ids, labels = zip(*visits(job, rows))
    return trainer_class(job.fast_loss)(
        model=model,
        args=arguments(job, len(ids), changes),
        train_dataset=Dataset.from_dict({"input_ids": ids, "labels": labels}),
        data_collator=batches.collator(model.config) if job.fast_loss else None,
        peft_config=lora,
    )


def arguments(job, visited, changes):
    """The job's settings in TRL's words, for so many visits of examples."""
    from trl import SFTConfig

    t, cuda = job.train, job.profile == "cuda"
    steps = math.ceil(math.ceil(visited / t.batch_size) / t.gradient_accumulation)
    settings = dict(
        output_dir=str(job.path("checkpoints")),
        num_train_epochs=1,
        train_sampling_strategy="sequential",
        per_device_train_batch_size=t.batch_size,
        gradient_accumulation_steps=t.gradient_accumulation,
        learning_rate=t.learning_rate,
        lr_scheduler_type="constant_with_warmup" if t.schedule == "constant" else t.schedule,
        # The first of them learns nothing, its rate is 0: all of a run that has but one step.
        warmup_steps=min(math.ceil(t.warmup_ratio * steps), steps - 1),
        weight_decay=t.weight_decay,
        save_steps=t.checkpoint_steps,
        save_total_limit=2,
        logging_steps=1,
        logging_nan_inf_filter=False,
        seed=job.seed,
        bf16=cuda,
        use_cpu=not cuda,
        gradient_checkpointing=False,
        dataloader_pin_memory=cuda,
        dataset_kwargs={"skip_prepare_dataset": True},
        report_to="none",
        disable_tqdm=True,
    )
    return SFTConfig(**settings | changes)


def fingerprint(job, rows):
    """What must be equal for a checkpoint to be gone on from."""
    settings = [job.base.digest, job.seed, vars(job.lora), vars(job.train), job.profile, job.fast_loss, rows]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def save(model, folder):
    """Write the adapter as PEFT does, in one go."""
    partial = folder.with_name(folder.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)
