"""Train a run directory: unpack the base, train the adapter, export it, write result.json. By hand:

    python run.py job.json [--resume]

Nothing is fetched from a network. SIGINT or SIGTERM end it with a checkpoint, from which --resume goes on to the
same result. Exit codes: 0 done, 1 error, 2 job that cannot be run as written, 130 interrupted.
"""

import argparse
import os
import platform
import shutil
import signal
import sys
import time
import warnings
from importlib import metadata

import adapter
import examples
import job as jobs
import manifest
import sft
import unpack
from reporting import Progress

# With less of the disk left, in bytes, a file that could not be written is put down to that.
FULL = 1 << 20

PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "gguf")


class Stop:
    """Asks the training to stop after SIGINT or SIGTERM, and ends anything else at once."""

    def __init__(self):
        self.asked = self.training = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handle)

    def handle(self, number, frame):
        self.asked = True
        if not self.training:
            raise KeyboardInterrupt


def prepare_environment(threads):
    """Keep every library offline and quiet. It must come before the first of them is imported."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        os.environ[name] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["TQDM_DISABLE"] = "1"
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    os.environ["OMP_NUM_THREADS"] = str(threads)
    # Threads that wait by spinning make a step many times slower as soon as anything else runs.
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    # On several devices the Trainer would cut every batch into parts, also one that is a single packed row.
    os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    warnings.simplefilter("ignore", FutureWarning)  # TRL's, about its own use of transformers


class Stages:
    """The stages of a run: announces each and measures it."""

    def __init__(self, progress):
        self.progress, self.seconds, self.name = progress, {}, None
        self.began = self.changed = time.monotonic()

    def enter(self, name):
        now = time.monotonic()
        if self.name:
            self.seconds[self.name] = round(now - self.changed, 3)
        self.name, self.changed = name, now
        self.seconds["total"] = round(now - self.began, 3)
        if name:
            self.progress.emit("stage", stage=name, time=round(time.time(), 3))


def run(job, progress, stop, resume):
    """Do the whole job. Raises sft.Interrupted when stop was asked for during the training."""
    if job.base.architecture not in adapter.ARCHITECTURES:
        raise jobs.JobError(f'job.json: "base.architecture": cannot train "{job.base.architecture}"')
    rows, stages = examples.read(job), Stages(progress)
    job.path("result.json").unlink(missing_ok=True)
    stages.enter("unpack")
    unpack.unpack(job.path(job.base.gguf), job.path(job.hf_base), job.base.digest)
    stages.enter("load")
    trainer = sft.build(job, rows)
    stages.enter("train")
    stop.training = True
    outcome = sft.train(job, rows, trainer, progress, lambda: stop.asked, resume)
    stop.training = False
    stages.enter("export")
    target = job.path("adapter.gguf")
    adapter.convert(job.path("adapter"), job.path(job.hf_base), target, job.base.architecture)
    stages.enter(None)
    result = {
        "status": "complete",
        "adapter": target.name,
        "adapter_sha256": manifest.sha256(target),
        "rank": job.lora.rank,
        "alpha": job.lora.alpha,
        **outcome,
        "seconds": stages.seconds,
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}},
        "profile": job.profile,
    }
    manifest.write_json(job.path("result.json"), result)
    progress.emit("done")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job")
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint that is whole")
    args = parser.parse_args()
    stop = Stop()
    try:
        job = jobs.load(args.job)
        prepare_environment(job.threads)
        progress = Progress(job)
    except jobs.JobError as error:
        return fail(error, 2)
    try:
        run(job, progress, stop, args.resume)
    except jobs.JobError as error:
        return fail(error, 2)
    except (jobs.RunError, OSError) as error:
        return fail(error, 1)
    except (KeyboardInterrupt, sft.Interrupted) as error:
        progress.emit("interrupted", step=error.args[0] if error.args else 0)
        return 130
    except RuntimeError as error:
        if type(error).__name__ == "OutOfMemoryError":  # torch's, which is not imported here
            what = "a step; lower train.batch_size or train.max_length" if stop.training else "the base"
            return fail(f"the GPU's memory is too small for {what}", 1)
        if shutil.disk_usage(job.directory).free < FULL:  # of which torch says no more than "iostream error"
            return fail("the disk is full", 1)
        raise
    return 0


def fail(error, code):
    print(f"error: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
