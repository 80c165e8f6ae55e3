import os
import subprocess
import sys
import unittest
from types import SimpleNamespace

from tests import fixtures

import configuration
import manifest
import tiny
import unpack
from job import RunError


class UnpackTest(unittest.TestCase):
    def test_gives_the_model_that_the_gguf_was_made_from(self):
        import torch
        from transformers import AutoModelForCausalLM

        ids = torch.arange(20, 120)[None]
        for name in tiny.MODELS:
            folder = fixtures.model(name)
            made, unpacked = (AutoModelForCausalLM.from_pretrained(folder / part) for part in ("hf", "base"))
            with self.subTest(name), torch.no_grad():
                torch.testing.assert_close(unpacked(ids).logits, made(ids).logits, rtol=0, atol=1e-4)

    def test_does_not_look_at_the_vocabulary_and_knows_its_length(self):
        import gguf

        path = fixtures.model("llama") / "model.gguf"
        unpack.LONG, before = 100, unpack.LONG
        try:
            quick, full = unpack.quick_reader()(path), gguf.GGUFReader(path)
        finally:
            unpack.LONG = before
        tokens = "tokenizer.ggml.tokens"
        self.assertEqual(len(quick.fields[tokens].data), len(full.fields[tokens].data))
        self.assertEqual(sum(part.size for part in quick.fields[tokens].parts[3:]), 0)
        self.assertEqual(
            [(t.name, t.data_offset) for t in quick.tensors], [(t.name, t.data_offset) for t in full.tensors]
        )

    def test_leaves_a_whole_folder_alone_and_replaces_a_damaged_one(self):
        folder = fixtures.PLACE / "again"
        source = fixtures.model("qwen2") / "model.gguf"
        unpack.unpack(source, folder)
        first = (folder / "config.json").stat().st_mtime_ns
        unpack.unpack(source, folder)
        self.assertEqual((folder / "config.json").stat().st_mtime_ns, first)
        (folder / "model.safetensors").write_bytes(b"")
        unpack.unpack(source, folder)
        manifest.verify(folder)
        self.assertEqual([p.name for p in fixtures.PLACE.glob(".again*")], [])

    @unittest.skipIf(os.name == "nt", "one cannot ask there whether a process lives")
    def test_removes_what_a_killed_one_has_left(self):
        folder = fixtures.PLACE / "killed"
        dead = subprocess.Popen([sys.executable, "-c", ""])
        dead.wait()
        remains, working, other = (
            fixtures.PLACE / name for name in (f".killed.{dead.pid}", f".killed.{os.getppid()}", ".killed.x")
        )
        for path in (remains, working, other):
            path.mkdir()
            (path / "model.safetensors").write_bytes(b"half")
        unpack.unpack(fixtures.model("qwen2") / "model.gguf", folder)
        self.assertEqual([p.exists() for p in (remains, working, other)], [False, True, True])

    def test_refuses_what_it_cannot_read(self):
        folder = fixtures.PLACE / "never"
        whole = (fixtures.model("llama") / "model.gguf").read_bytes()
        for content in (b"", b"PK\3\4" + b"\0" * 100, whole[:2000], whole[:-2000]):
            path = fixtures.PLACE / "bad.gguf"
            path.write_bytes(content)
            with self.subTest(len(content)), self.assertRaises(RunError):
                unpack.unpack(path, folder)
            self.assertFalse(folder.exists())

    def test_refuses_another_file(self):
        with self.assertRaisesRegex(RunError, "digest is sha256:.*, not sha256:0"):
            unpack.unpack(fixtures.model("llama") / "model.gguf", fixtures.PLACE / "never", "sha256:0")


class ConfigurationTest(unittest.TestCase):
    def config(self, head_dim=64, theta=500000.0):
        from transformers import LlamaConfig

        return LlamaConfig(head_dim=head_dim, rope_parameters={"rope_type": "default", "rope_theta": theta})

    def test_keeps_the_rope_of_llama_3(self):
        import torch
        from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

        want = self.config()
        want.rope_parameters.update(
            rope_type="llama3",
            factor=32.0,
            low_freq_factor=1.0,
            high_freq_factor=4.0,
            original_max_position_embeddings=8192,
        )
        scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](want, "cpu")
        factors = (1.0 / 500000.0 ** (torch.arange(32) / 32) / scaled).numpy()
        got = self.config()
        configuration.complete(got, {"general.architecture": "llama"}, SimpleNamespace(data=factors))
        self.assertEqual(got.rope_parameters, want.rope_parameters)
        factors[20] *= 1.5
        with self.assertRaisesRegex(RunError, "rope factors"):
            configuration.complete(self.config(), {"general.architecture": "llama"}, SimpleNamespace(data=factors))

    def test_keeps_linear_scaling_and_refuses_others(self):
        scaling = {
            "general.architecture": "llama",
            "llama.rope.scaling.type": "linear",
            "llama.rope.scaling.factor": 8.0,
        }
        got = self.config()
        configuration.complete(got, scaling, None)
        self.assertEqual((got.rope_parameters["rope_type"], got.rope_parameters["factor"]), ("linear", 8.0))
        with self.assertRaisesRegex(RunError, '"yarn"'):
            configuration.complete(self.config(), {**scaling, "llama.rope.scaling.type": "yarn"}, None)

    def test_scales_only_the_full_attention_of_gemma(self):
        rope = {"full_attention": {"rope_theta": 1e6}, "sliding_attention": {"rope_theta": 1e4}}
        got = SimpleNamespace(rope_parameters=rope, head_dim=256, num_hidden_layers=18)
        prefix = "gemma3."
        values = {"attention.key_length": 128, "rope.scaling.type": "linear", "rope.scaling.factor": 8.0}
        configuration.complete(
            got, {"general.architecture": "gemma3", **{prefix + k: v for k, v in values.items()}}, None
        )
        self.assertEqual((got.head_dim, got.query_pre_attn_scalar), (128, 128))
        self.assertEqual(rope["full_attention"]["factor"], 8.0)
        self.assertNotIn("factor", rope["sliding_attention"])
