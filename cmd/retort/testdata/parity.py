"""What Hugging Face makes of tiny models, for parity_test.go: python parity.py SCRIPTS FOLDER < request > answer.

For each architecture it makes a tiny random model, a random adapter over it and the adapter's GGUF in
FOLDER/<architecture>, and answers with the token ids of the request's conversations and with the next token's
log-probabilities, of the base and of base and adapter. For the starter models it answers with the ids alone.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])

import run  # noqa: E402


def main():
    request, folder = json.load(sys.stdin), Path(sys.argv[2])
    run.prepare_environment(2)
    import parity

    answer = {}
    for name in request["tiny"]:
        place = folder / name
        place.mkdir()
        make(name, place)
        ids = parity.tokens(place / "hf", request["conversations"])
        probed = ids[: request["probes"]]
        answer[name] = {
            "tokens": ids,
            "base": top(parity.logprobs(place / "hf", probed)),
            "tuned": top(parity.logprobs(place / "hf", probed, adapter=place / "adapter")),
        }
    for name, model in request["starters"].items():
        import unpack

        place = folder / name
        unpack.tokenizer(model["gguf"], place)
        answer[name] = {"tokens": parity.tokens(place, request["conversations"], model["template"])}
    json.dump(answer, sys.stdout)


def top(rows):
    """Each row's log-probabilities, the largest first."""
    return [sorted(row.values(), reverse=True) for row in rows]


def make(name, place):
    """The model, an adapter whose weights are random on both sides, and its GGUF."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    import adapter
    import tiny

    tiny.make(name, place)
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_pretrained(place / "hf", dtype=torch.float32)
    model = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"))
    for key, weight in model.named_parameters():
        if "lora_" in key:
            weight.data = torch.randn_like(weight) * 0.1
    model.save_pretrained(place / "adapter")
    adapter.convert(place / "adapter", place / "hf", place / "adapter.gguf", tiny.MODELS[name][2])


main()
