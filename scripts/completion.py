"""TRL's SFTTrainer for examples that are tokens already, and a loss that computes logits only where they are learnt."""

import batches


def trainer_class(fast_loss):
    """TRL's own trainer, with fast_loss such that only hidden states with something to learn reach the output layer.

    TRL computes, on a CPU, every position's logits, their entropy, and a gradient for the frozen output layer.
    """
    import torch
    from transformers import PrinterCallback
    from trl import SFTTrainer

    class Trainer(SFTTrainer):
        def __init__(self, **kwargs):
            super().__init__(processing_class=stand_in(), **kwargs)
            self.processing_class = None  # or it would be saved with every checkpoint
            self.remove_callback(PrinterCallback)

        def create_model_card(self, *args, **kwargs):
            pass  # the run directory says more

    class FastTrainer(Trainer):
        def training_step(self, model, inputs, num_items_in_batch=None):
            if num_items_in_batch is None:  # then each part's loss would be its own mean
                return super().training_step(model, inputs)
            parts = batches.parts(inputs)
            return sum(super(FastTrainer, self).training_step(model, part, num_items_in_batch) for part in parts)

        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            inputs = dict(inputs)
            labels = inputs.pop("labels")[:, 1:]
            learnt = labels != -100

            def select(module, args, output):
                output.last_hidden_state = output.last_hidden_state[:, :-1][learnt][None]
                return output

            # In this way the model's own head does the rest, with whatever scale or soft cap it has.
            backbone = self.accelerator.unwrap_model(model).get_base_model().base_model
            hook = backbone.register_forward_hook(select)
            try:
                logits = model(**inputs, use_cache=False).logits[0]
            finally:
                hook.remove()
            loss = torch.nn.functional.cross_entropy(logits.float(), labels[learnt], reduction="sum")
            return loss / (learnt.sum() if num_items_in_batch is None else num_items_in_batch)

    return FastTrainer if fast_loss else Trainer


def stand_in():
    """A tokenizer of one token. TRL insists on a tokenizer, and uses it for nothing where the examples are tokens."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel({"<pad>": 0}, unk_token="<pad>")), pad_token="<pad>"
    )
