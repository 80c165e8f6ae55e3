import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import unittest
from unittest import mock

from tests import fixtures
from tests.fixtures import SCRIPTS

import examples
import job as jobs
import manifest
import run

import sft
from job import RunError


def train(folder, resume=False, stop_at=None):
    """Train in this process; stop_at is the step after which it is told to stop."""
    job = jobs.load(folder / "job.json")
    rows, progress = examples.read(job), fixtures.Silent()

    def stop():
        return stop_at is not None and trainer.state.global_step >= stop_at

    trainer = sft.build(job, rows)
    return sft.train(job, rows, trainer, progress, stop, resume), progress.events


def adapter(folder):
    return (folder / "adapter/adapter_model.safetensors").read_bytes()


class TrainTest(unittest.TestCase):
    def test_learns(self):
        folder = fixtures.directory(fixtures.job(train={"epochs": 8}))
        outcome, events = train(folder)
        self.assertLess(outcome["loss"], outcome["loss_first"] / 3)
        self.assertEqual((outcome["steps"], outcome["examples"]), (44, 22))
        steps = [e for e in events if e["event"] == "step"]
        self.assertEqual([e["step"] for e in steps], list(range(1, 45)))
        self.assertEqual(steps[-1]["epoch"], 8)
        self.assertEqual(steps[-1]["tokens"], 8 * sum(len(ids) for ids, _ in fixtures.rows()))
        self.assertEqual(max(e["learning_rate"] for e in steps), 5e-3)

    def test_learns_in_a_run_of_one_step(self):
        _, events = train(fixtures.directory(fixtures.job(train={"epochs": 1}), count=3))
        (step,) = [e for e in events if e["event"] == "step"]
        self.assertEqual((step["steps"], step["learning_rate"]), (1, 5e-3))

    def test_a_resumed_run_gives_the_same_adapter_bit_for_bit(self):
        value = fixtures.job(lora={"dropout": 0.1}, train={"gradient_accumulation": 2, "batch_size": 2})
        whole, parts = fixtures.directory(value), fixtures.directory(value)
        want, _ = train(whole)
        with self.assertRaises(sft.Interrupted) as caught:
            train(parts, stop_at=4)
        self.assertEqual(caught.exception.args, (4,))
        self.assertFalse((parts / "adapter").exists())
        got, events = train(parts, resume=True)
        self.assertEqual(next(e["step"] for e in events if e["event"] == "step"), 5)
        self.assertEqual(got, want)
        self.assertEqual(adapter(parts), adapter(whole))

    def test_goes_on_from_the_newest_whole_checkpoint(self):
        value = fixtures.job(train={"checkpoint_steps": 2})
        whole, parts = fixtures.directory(value), fixtures.directory(value)
        train(whole)
        for damage in (
            lambda newest: (newest / "optimizer.pt").write_bytes(b"x" * (newest / "optimizer.pt").stat().st_size),
            lambda newest: (newest / "scheduler.pt").unlink(),
            lambda newest: (newest / manifest.NAME).unlink(),
        ):
            with self.assertRaises(sft.Interrupted):
                train(parts, stop_at=5)
            damage(parts / "checkpoints/checkpoint-5")
            _, events = train(parts, resume=True)
            self.assertEqual(next(e["step"] for e in events if e["event"] == "step"), 5)
            self.assertEqual(adapter(parts), adapter(whole))

    def test_does_not_go_on_with_other_data(self):
        folder = fixtures.directory(fixtures.job())
        with self.assertRaises(sft.Interrupted):
            train(folder, stop_at=3)
        lines = (folder / "data/train.jsonl").read_text().splitlines()
        (folder / "data/train.jsonl").write_text("\n".join(lines[1:]) + "\n")
        with self.assertRaisesRegex(manifest.Damaged, "other settings or data"):
            train(folder, resume=True)

    def test_says_when_it_learns_nothing(self):
        folder = fixtures.directory(fixtures.job(train={"learning_rate": 1e30, "warmup_ratio": 0}))
        with self.assertRaisesRegex(RunError, "the loss is not a number"):
            train(folder)


class RunTest(unittest.TestCase):
    """The whole program, as a person or the Go side calls it."""

    def start(self, folder, *arguments, **environment):
        command = [sys.executable, SCRIPTS / "run.py", "job.json", *arguments]
        return subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=fixtures.environment() | environment,
        )

    def test_terminated_and_resumed_it_ends_as_if_nothing_had_been(self):
        value = fixtures.job(train={"epochs": 40, "checkpoint_steps": 50})
        whole, folder = fixtures.directory(value), fixtures.directory(value)
        train(whole)
        child = self.start(folder)
        for line in child.stdout:
            if json.loads(line).get("step") == 20:
                child.send_signal(signal.SIGTERM)
                break
        rest, errors = child.communicate()
        self.assertEqual(child.returncode, 130, errors)
        last = json.loads(rest.splitlines()[-1])
        self.assertEqual(last["event"], "interrupted")
        manifest.verify(folder / f"checkpoints/checkpoint-{last['step']}")
        self.assertFalse((folder / "result.json").exists())

        child = self.start(folder, "--resume")
        output, errors = child.communicate()
        self.assertEqual((child.returncode, errors), (0, ""))
        self.assertEqual(adapter(folder), adapter(whole))
        events = [json.loads(line) for line in output.splitlines()]
        self.assertEqual([e["stage"] for e in events if e["event"] == "stage"], ["unpack", "load", "train", "export"])
        self.assertEqual(next(e["step"] for e in events if e["event"] == "step"), last["step"] + 1)
        self.assertEqual(events[-1], {"event": "done"})
        self.assertTrue((folder / "progress.jsonl").read_text().endswith(output))
        result = json.loads((folder / "result.json").read_text())
        self.assertEqual(result["adapter_sha256"], manifest.sha256(folder / result["adapter"]))
        self.assertEqual((result["status"], result["steps"], result["rank"], result["alpha"]), ("complete", 220, 4, 8))
        self.assertEqual(set(result["seconds"]), {"unpack", "load", "train", "export", "total"})

    def test_a_base_that_is_missing_ends_in_one_line_and_1(self):
        folder = fixtures.directory(fixtures.job(hf_base="none", base={"gguf": "none.gguf"}))
        child = self.start(folder)
        _, errors = child.communicate()
        self.assertEqual(child.returncode, 1)
        self.assertRegex(errors, r"\Aerror: [^\n]*none\.gguf'?\n\Z")
        self.assertFalse((folder / "none").exists())

    def fail_in(self, name, error):
        """What run.main() says, and ends with, when a part of sft fails."""
        folder, errors = fixtures.directory(fixtures.job()), io.StringIO()
        with (
            mock.patch.object(sft, name, side_effect=error),
            mock.patch("signal.signal"),
            mock.patch.object(sys, "argv", ["run.py", str(folder / "job.json")]),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(errors),
        ):
            return errors, run.main()

    def test_a_gpu_that_is_too_small_ends_in_one_line_and_1(self):
        import torch

        for name, want in [("build", "the base"), ("train", "a step; lower train.batch_size or train.max_length")]:
            errors, code = self.fail_in(name, torch.OutOfMemoryError("CUDA out of memory."))
            self.assertEqual(code, 1)
            self.assertIn(f"error: the GPU's memory is too small for {want}\n", errors.getvalue())

    def test_a_full_disk_ends_in_one_line_and_1(self):
        broken = RuntimeError("basic_ios::clear: iostream error")  # what torch says then
        with mock.patch("shutil.disk_usage", return_value=mock.Mock(free=0)):
            errors, code = self.fail_in("train", broken)
        self.assertEqual((code, errors.getvalue()), (1, "error: the disk is full\n"))
        with mock.patch.object(run, "FULL", 0), self.assertRaisesRegex(RuntimeError, "iostream"):
            self.fail_in("train", broken)

    def test_without_a_gpu_that_works_it_ends_in_one_line_and_1(self):
        child = self.start(fixtures.directory(fixtures.job(profile="cuda")), CUDA_VISIBLE_DEVICES="")
        _, errors = child.communicate()
        self.assertEqual(child.returncode, 1)
        self.assertRegex(errors, r"\Aerror: PyTorch cannot use a GPU here[^\n]*\n\Z")

    def test_uses_one_gpu(self):
        for given, want in [("2,3", "2"), ("GPU-1a,GPU-2b", "GPU-1a"), ("", ""), ("-1", "-1")]:
            with mock.patch.dict("os.environ", CUDA_VISIBLE_DEVICES=given):
                run.prepare_environment(1)
                self.assertEqual(os.environ["CUDA_VISIBLE_DEVICES"], want)

    def test_interrupted_before_it_trains_it_leaves_nothing_half_done(self):
        folder = fixtures.directory(fixtures.job(hf_base="base"))
        child = self.start(folder)
        self.assertEqual(json.loads(child.stdout.readline())["stage"], "unpack")
        child.send_signal(signal.SIGINT)
        output, errors = child.communicate()
        self.assertEqual(child.returncode, 130, errors)
        self.assertEqual(json.loads(output.splitlines()[-1]), {"event": "interrupted", "step": 0})
        self.assertEqual(list(folder.glob(".base*")), [])
