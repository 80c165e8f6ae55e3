"""Load every file that Retort exported as Hugging Face datasets and TRL would, and take one training step on it.

By hand: python accept.py FOLDER, where FOLDER holds trl-sft.jsonl and so on. Prints the rows of each file as JSON.
"""

import json
import os
import sys
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}

TEMPLATE = "{% for m in messages %}{{ m.role }} : {{ m.content }} <e> {% endfor %}{% if add_generation_prompt %}assistant : {% endif %}"


def tiny():
    """A model and a tokenizer that know a handful of words."""
    import tokenizers
    import transformers

    words = ["<u>", "<e>", "user", "system", "assistant", "tool", ":", "good", "bad", "fine"]
    core = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<u>")
    )
    core.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<u>", eos_token="<e>", pad_token="<e>", chat_template=TEMPLATE
    )
    config = transformers.LlamaConfig(
        vocab_size=len(words), hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1
    )
    return transformers.LlamaForCausalLM(config), tokenizer


def train(name, rows, folder):
    """One step of the trainer that the format is for."""
    import trl

    kinds = {
        "trl-sft": (trl.SFTTrainer, trl.SFTConfig),
        "trl-sft-prompt": (trl.SFTTrainer, trl.SFTConfig),
        "trl-dpo": (trl.DPOTrainer, trl.DPOConfig),
        "trl-kto": (trl.KTOTrainer, trl.KTOConfig),
        "parquet": (trl.SFTTrainer, trl.SFTConfig),
    }
    if name not in kinds:
        return False
    trainer_type, config_type = kinds[name]
    model, tokenizer = tiny()
    settings = config_type(
        output_dir=str(folder / f"run-{name}"), max_steps=1, per_device_train_batch_size=2,
        report_to=[], use_cpu=True, bf16=False, save_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    more = {"ref_model": tiny()[0]} if name in ("trl-dpo", "trl-kto") else {}
    trainer_type(model=model, args=settings, train_dataset=rows, processing_class=tokenizer, **more).train()
    return True


def main(folder):
    import datasets

    result = {}
    for path in sorted(folder.iterdir()):
        kind = {".jsonl": "json", ".parquet": "parquet"}.get(path.suffix)
        if kind is None:
            continue
        rows = datasets.load_dataset(kind, data_files=str(path), split="train", cache_dir=str(folder / "cache"))
        trained = train(path.stem, rows, folder)
        result[path.stem] = {"rows": len(rows), "columns": rows.column_names, "trained": trained}
    print(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
