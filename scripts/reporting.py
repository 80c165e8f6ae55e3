"""What a run tells while it goes: events as JSON lines, and checkpoints that can be trusted."""

import json
import math
import os
import time

import manifest
from job import RunError


class Progress:
    """Writes events as JSON lines to progress.jsonl and to stdout."""

    def __init__(self, job):
        self.file = open(job.path("progress.jsonl"), "a", encoding="utf-8")

    def emit(self, event, **values):
        line = json.dumps({"event": event, **values})
        print(line, flush=True)
        self.file.write(line + "\n")
        self.file.flush()


def reporter(job, lengths, progress, mark, stop):
    """A callback that reports steps, seals checkpoints with mark, and ends the training once stop() is true.

    lengths are the tokens of the examples in the order of their visits, all epochs.
    """
    from transformers import TrainerCallback

    per_step = job.train.batch_size * job.train.gradient_accumulation
    began = time.monotonic()

    class Reporter(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if stop():
                control.should_save = control.should_training_stop = True

        def on_log(self, args, state, control, logs=None, **kwargs):
            if "loss" not in logs:
                return  # the summary at the end
            if not math.isfinite(logs["loss"]):
                raise RunError(f"step {state.global_step}: the loss is not a number; lower train.learning_rate")
            visited = min(state.global_step * per_step, len(lengths))
            progress.emit(
                "step",
                step=state.global_step,
                steps=state.max_steps,
                epoch=round(visited * job.train.epochs / len(lengths), 4),
                loss=logs["loss"],
                learning_rate=logs["learning_rate"],
                tokens=sum(lengths[:visited]),
                seconds=round(time.monotonic() - began, 3),
            )

        def on_save(self, args, state, control, **kwargs):
            folder = os.path.join(args.output_dir, f"checkpoint-{state.global_step}")
            manifest.write(folder, step=state.global_step, job=mark)
            progress.emit("checkpoint", step=state.global_step)

    return Reporter()
