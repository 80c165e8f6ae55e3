"""Say what a Hugging Face model and tokenizer make of some input, as JSON for a test that compares the engine.

It reads one JSON object from stdin and writes one to stdout. By hand:

    echo '{"base": "hf", "ids": [[1, 5, 9]], "top": 5}' | python parity.py
    echo '{"tokenizer": "hf", "conversations": [[{"role": "user", "content": "hi"}]]}' | python parity.py

Keys: "base" (folder), "adapter" (PEFT folder, optional), "ids" (lists of token ids) and "top" (how many alternatives)
or "want" (for each list, the ids to score) give "logprobs": for each list the natural logarithms of the next token's
probabilities, {"<id>": value}. "tokenizer" (folder), "conversations" and "template" (optional) give "tokens", each
conversation's ids with the opening of the answer to come, unless it ends with an answer.
"""

import json
import os
import sys


def logprobs(base, ids, adapter=None, top=20, want=None):
    """For each list of ids the log-probabilities of the next token, of those wanted or of the top."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, local_files_only=True)
    if adapter:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, adapter)
    model.eval()
    out = []
    for number, tokens in enumerate(ids):
        with torch.no_grad():
            scores = model(torch.tensor([tokens])).logits[0, -1].float().log_softmax(-1)
        chosen = want[number] if want else scores.topk(min(top, len(scores))).indices.tolist()
        out.append({str(i): scores[i].item() for i in chosen})
    return out


def tokens(tokenizer, conversations, template=None):
    """The token ids of each conversation through the chat template."""
    from transformers import AutoTokenizer

    words = AutoTokenizer.from_pretrained(tokenizer, local_files_only=True)
    return [
        words.apply_chat_template(
            messages,
            chat_template=template,
            add_generation_prompt=messages[-1]["role"] != "assistant",
            return_dict=False,
        )
        for messages in conversations
    ]


def main():
    from run import prepare_environment

    request = json.load(sys.stdin)
    prepare_environment(os.cpu_count())
    answer = {}
    if "ids" in request:
        answer["logprobs"] = logprobs(
            *(request.get(k) for k in ("base", "ids", "adapter")), request.get("top", 20), request.get("want")
        )
    if "conversations" in request:
        answer["tokens"] = tokens(*(request.get(k) for k in ("tokenizer", "conversations", "template")))
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
