import json
import unittest

from tests import fixtures

import adapter
import tiny
from job import RunError


def made(name):
    """A PEFT adapter with random weights for a tiny model, and its GGUF."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folder = fixtures.model(name)
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_pretrained(folder / "base")
    model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=12, target_modules="all-linear"))
    for key, parameter in model.named_parameters():
        if "lora_B" in key:
            parameter.data = torch.randn_like(parameter)
    model.save_pretrained(folder / "adapter")
    adapter.convert(folder / "adapter", folder / "base", folder / "adapter.gguf", tiny.MODELS[name][2])
    return folder, model


class AdapterTest(unittest.TestCase):
    def test_merged_in_the_gguf_equals_merged_in_peft(self):
        """Base and adapter are permuted alike: W + B*A of the GGUFs is the permuted W + B*A of Hugging Face."""
        import gguf
        import torch

        for name, (_, settings, architecture) in tiny.MODELS.items():
            folder, model = made(name)
            merged = dict(tiny.tensors(model.merge_and_unload(), architecture))
            base = {t.name: t.data for t in gguf.GGUFReader(folder / "model.gguf").tensors}
            lora = {t.name: t.data for t in gguf.GGUFReader(folder / "adapter.gguf").tensors}
            self.assertEqual(len(lora), settings["num_hidden_layers"] * 7 * 2)
            for key in {key.rpartition(".")[0] for key in lora}:
                a, b = lora[key + ".lora_a"], lora[key + ".lora_b"]
                self.assertEqual((a.shape, b.shape), ((4, base[key].shape[1]), (base[key].shape[0], 4)))
                with self.subTest(f"{name} {key}"):
                    torch.testing.assert_close(torch.tensor(base[key] + 12 / 4 * b @ a), torch.tensor(merged[key]))

    def test_says_what_it_is(self):
        import gguf

        folder, _ = made("gemma3")
        fields = gguf.GGUFReader(folder / "adapter.gguf").fields
        for key, want in {
            "general.architecture": "gemma3",
            "general.type": "adapter",
            "adapter.type": "lora",
            "adapter.lora.alpha": 12.0,
        }.items():
            self.assertEqual(fields[key].contents(), want)

    def test_refuses_what_a_gguf_cannot_hold(self):
        folder, _ = made("qwen2")
        path = folder / "adapter/adapter_config.json"
        settings = json.loads(path.read_text())
        for change in ({"use_dora": True}, {"use_rslora": True}, {"bias": "all"}, {"modules_to_save": ["lm_head"]}):
            path.write_text(json.dumps({**settings, **change}))
            with self.subTest(change), self.assertRaisesRegex(RunError, "cannot be kept"):
                adapter.convert(folder / "adapter", folder / "base", folder / "other.gguf", "qwen2")
            self.assertFalse((folder / "other.gguf").exists())
        path.write_text(json.dumps(settings))
        with self.assertRaisesRegex(RunError, 'architecture "mamba"'):
            adapter.convert(folder / "adapter", folder / "base", folder / "other.gguf", "mamba")
