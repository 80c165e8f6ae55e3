import json
import subprocess
import sys
import unittest

from tests import fixtures
from tests.fixtures import SCRIPTS

import examples
import job as jobs


class JobTest(unittest.TestCase):
    def test_says_what_is_wrong(self):
        for change, want in [
            ({"lora": {"rank": "x"}}, '"lora.rank": want a whole number, got "x"'),
            ({"lora": {"rank": True}}, '"lora.rank": want a whole number, got true'),
            ({"lora": {"rank": 0}}, '"lora.rank": want at least 1, got 0'),
            ({"train": {"learning_rate": float("nan")}}, '"train.learning_rate": want a number, got NaN'),
            ({"train": {"schedule": "step"}}, '"train.schedule": want "linear", "cosine" or "constant", got "step"'),
            ({"train": {"epoch": 3}}, 'unknown key "train.epoch"'),
            ({"method": "dpo"}, '"method": want "sft", got "dpo"'),
            ({"hf_base": ""}, '"hf_base": want a text that is not empty, got ""'),
        ]:
            folder = fixtures.directory(fixtures.job(**change))
            with self.subTest(change), self.assertRaises(jobs.JobError) as caught:
                jobs.load(folder / "job.json")
            self.assertEqual(str(caught.exception), "job.json: " + want)

    def test_says_what_is_missing(self):
        value = fixtures.job()
        del value["train"]["epochs"]
        with self.assertRaisesRegex(jobs.JobError, '"train.epochs" is missing'):
            jobs.load(fixtures.directory(value) / "job.json")

    def test_ends_in_one_line_and_2(self):
        folder = fixtures.directory(fixtures.job())
        for content in ("{", "[]", "", '{"id": 1}', None):
            path = folder / "job.json"
            path.unlink(missing_ok=True)
            if content is not None:
                path.write_text(content)
            done = subprocess.run(
                [sys.executable, SCRIPTS / "run.py", path], capture_output=True, text=True, env=fixtures.environment()
            )
            self.assertEqual(done.returncode, 2, content)
            self.assertRegex(done.stderr, r"\Aerror: [^\n]+\n\Z")
            self.assertEqual(done.stdout, "")


class ExamplesTest(unittest.TestCase):
    def test_says_which_line_is_wrong(self):
        good = json.dumps({"input_ids": [1, 2], "completion_mask": [0, 1]})
        for line, want in [
            ("{", "want an object with input_ids"),
            ('{"input_ids": [1, 2]}', "want an object with input_ids"),
            ('{"input_ids": [1, 2], "completion_mask": [0]}', "want token ids"),
            ('{"input_ids": [1, -2], "completion_mask": [0, 1]}', "want token ids"),
            ('{"input_ids": [1, 2], "completion_mask": [0, 2]}', "want token ids"),
            ('{"input_ids": [1, 2], "completion_mask": [0, 0]}', "want a prompt first"),
            ('{"input_ids": [1, 2], "completion_mask": [1, 1]}', "want a prompt first"),
            (
                json.dumps({"input_ids": [1] * 65, "completion_mask": [0] + [1] * 64}),
                "65 tokens, more than max_length 64",
            ),
        ]:
            folder = fixtures.directory(fixtures.job())
            (folder / "data/train.jsonl").write_text(good + "\n" + line + "\n")
            with self.subTest(line), self.assertRaises(jobs.JobError) as caught:
                examples.read(jobs.load(folder / "job.json"))
            self.assertIn("data/train.jsonl:2: " + want, str(caught.exception))

    def test_wants_some(self):
        folder = fixtures.directory(fixtures.job(), count=0)
        with self.assertRaisesRegex(jobs.JobError, "no examples"):
            examples.read(jobs.load(folder / "job.json"))


class ScriptsTest(unittest.TestCase):
    def test_import_alone_does_nothing(self):
        names = [path.stem for path in SCRIPTS.glob("*.py")]
        self.assertIn("run", names)
        heavy = ["torch", "transformers", "trl", "peft", "gguf", "numpy", "datasets"]
        code = f"import sys, {', '.join(names)}\nprint([m for m in {heavy} if m in sys.modules])"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=fixtures.environment(), check=True
        )
        self.assertEqual(done.stdout, "[]\n")

    def test_fit_a_screen(self):
        for path in SCRIPTS.glob("*.py"):
            self.assertLessEqual(len(path.read_text().splitlines()), 150, path.name)
            self.assertTrue(path.read_text().startswith('"""'), path.name)

    def test_lock_is_complete_and_names_no_registry(self):
        lock = (SCRIPTS / "requirements.lock").read_text()
        self.assertNotIn("://", lock)
        for line in (SCRIPTS / "requirements.txt").read_text().splitlines():
            if not line.startswith("#"):
                self.assertIn(line + " \\\n    --hash=sha256:", lock)
