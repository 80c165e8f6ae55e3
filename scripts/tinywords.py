"""Small vocabularies for the models of tiny.py, of the two kinds that most GGUF files hold."""

import json

TEXT = """My parcel has not arrived and the shop does not answer. Please send the invoice again, the first one was lost.
The lamp is broken, can I return it and get my money back? How do I change the address of my order? I forgot my
password and cannot log in. When does the shop open on Sunday? The colour of the chair is wrong, I ordered blue. You
charged my card twice for one order. I want to cancel the order that I placed this morning. Is the table still on sale?
Sort the request into one topic: delivery, invoice, return, address, password, opening hours, payment, cancel, stock."""

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n"
    "{{ m['content'] | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


def byte_level():
    """A vocabulary as GPT-2 and its many heirs have it."""
    from tokenizers import pre_tokenizers

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces, merges = learn(split, alphabet=sorted(split.alphabet()))
    return {
        "model": "gpt2",
        "tokens": special + pieces,
        "types": [3] * len(special) + [1] * len(pieces),  # control, normal
        "merges": merges,
        "bos": special[0],
        "eos": special[2],
        "pad": special[0],
        "template": CHATML,
    }


def sentencepiece():
    """A vocabulary as Gemma has it: pieces with scores, and bytes for what they cannot spell."""
    from tokenizers import pre_tokenizers

    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
    octets = [f"<0x{i:02X}>" for i in range(256)]
    pieces, _ = learn(pre_tokenizers.Metaspace(prepend_scheme="never"), alphabet=[])
    return {
        "model": "llama",
        "tokens": special + octets + pieces,
        "types": [3, 3, 3, 2, 3, 3] + [6] * len(octets) + [1] * len(pieces),  # control and unknown, byte, normal
        "bos": "<bos>",
        "eos": "<eos>",
        "pad": "<pad>",
        "template": GEMMA,
    }


def learn(split, alphabet):
    """Pieces and merges of a byte-pair encoding, learnt from TEXT."""
    from tokenizers import Tokenizer, models, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = split
    size = len(alphabet) + 150
    tokenizer.train_from_iterator(
        [TEXT], trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    )
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return sorted(tokenizer.get_vocab(), key=tokenizer.token_to_id), [" ".join(pair) for pair in merges]
