import unittest

from tests import fixtures

import batches
import job as jobs
import sft
import tiny


def step(value, rows):
    """The mean loss and the gradients of the first optimizer step, as the Trainer computes them."""
    folder = fixtures.directory(value)
    trainer = sft.build(jobs.load(folder / "job.json"), rows)
    loader = iter(trainer.get_train_dataloader())
    parts, count = trainer.get_batch_samples(loader, value["train"]["gradient_accumulation"], "cpu")
    trainer.current_gradient_accumulation_steps = len(parts)
    for name, parameter in trainer.model.named_parameters():
        if "lora_B" in name:  # zeros at first, which would leave lora_A without a gradient
            parameter.data.fill_(0.02)
    trainer.model.train()
    loss = sum(trainer.training_step(trainer.model, part, count).item() for part in parts)
    return loss, {name: p.grad for name, p in trainer.model.named_parameters() if p.requires_grad}, parts


class FastLossTest(unittest.TestCase):
    def equal(self, name, rows=None, **changes):
        import torch

        rows = rows or fixtures.rows()
        loss, gradients, parts = step(fixtures.job(name, **changes), rows)
        want, expected, _ = step(fixtures.job(name, fast_loss=False, **changes), rows)
        self.assertAlmostEqual(loss, want, delta=1e-4)
        self.assertGreater(len(gradients), 20)
        for key, gradient in gradients.items():
            self.assertGreater(gradient.abs().max().item(), 0, key)
            torch.testing.assert_close(
                gradient, expected[key], rtol=1e-3, atol=1e-5, msg=lambda m, key=key: f"{key}: {m}"
            )
        return parts

    def test_equals_that_of_trl(self):
        for name in tiny.MODELS:
            with self.subTest(name):
                (part,) = self.equal(name)
                self.assertEqual(len(part["input_ids"]), 1, "not packed")

    def test_equals_that_of_trl_over_several_passes(self):
        self.assertEqual(len(self.equal("llama", train={"gradient_accumulation": 3})), 3)

    def test_equals_that_of_trl_with_padding(self):
        rows = fixtures.rows()
        long = ([5] * 70 + [10, 310, 3], [-100] * 71 + [310, 3])  # longer than the sliding window
        (part,) = self.equal("gemma3", [long] + rows, train={"max_length": 100, "batch_size": 23})
        self.assertEqual(len(part["input_ids"]), 23, "packed")

    def test_equals_that_of_trl_in_parts(self):
        from unittest import mock

        with mock.patch.object(batches, "MAX_PACKED", 0), mock.patch.object(batches, "MAX_TOKENS", 60):
            for accumulation in (1, 3):
                got = self.equal("llama", train={"gradient_accumulation": accumulation})
                self.assertGreater(len(batches.parts(got[0])), 1)

    def test_equals_that_of_trl_with_a_soft_cap(self):
        from unittest import mock
        from transformers import AutoModelForCausalLM

        load = AutoModelForCausalLM.from_pretrained

        def capped(*args, **kwargs):
            model = load(*args, **kwargs)
            model.config.final_logit_softcapping = 1.5
            return model

        plain, _, _ = step(fixtures.job("gemma3"), fixtures.rows())
        with mock.patch.object(AutoModelForCausalLM, "from_pretrained", capped):
            self.equal("gemma3")
            changed, _, _ = step(fixtures.job("gemma3"), fixtures.rows())
        self.assertGreater(abs(plain - changed), 1e-3)


class BatchesTest(unittest.TestCase):
    def test_order_shows_every_example_once_an_epoch(self):
        order = batches.order(10, 3, seed=1)
        for epoch in range(3):
            self.assertEqual(sorted(order[10 * epoch : 10 * epoch + 10]), list(range(10)))
        self.assertNotEqual(order[:10], order[10:20])
        self.assertEqual(order, batches.order(10, 3, seed=1))
        self.assertNotEqual(order, batches.order(10, 3, seed=2))

    def test_shares_no_token_that_predicts_a_learnt_one(self):
        def rows(*pairs):
            return [{"input_ids": ids, "labels": labels} for ids, labels in pairs]

        for want, examples in [
            (2, rows(([1, 2, 3, 9], [-100] * 3 + [9]), ([1, 2, 3, 8], [-100] * 3 + [8]))),
            (1, rows(([1, 2, 3, 9], [-100] * 3 + [9]), ([1, 3, 3, 8], [-100] * 3 + [8]))),
            (0, rows(([1, 9], [-100, 9]), ([1, 8], [-100, 8]))),
            (0, rows(([4, 2, 9], [-100] * 2 + [9]), ([1, 2, 8], [-100] * 2 + [8]))),
        ]:
            self.assertEqual(batches.shared_prefix(examples), want)

    def test_packs_without_padding(self):
        rows = [{"input_ids": ids, "labels": labels} for ids, labels in fixtures.rows(8)]
        batch = batches.pack(rows, batches.shared_prefix(rows))
        self.assertEqual(batch["input_ids"].numel(), 4 + sum(len(r["input_ids"]) - 4 for r in rows))
        self.assertEqual((batch["labels"] != -100).sum(), sum(label != -100 for r in rows for label in r["labels"]))
