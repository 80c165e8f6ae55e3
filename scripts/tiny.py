"""Make a small model with random weights, as a Hugging Face folder and as the same model in a GGUF file, for tests.

The architectures are llama, mistral, qwen2, qwen3 and gemma3. By hand:

    python tiny.py llama folder        (writes folder/hf and folder/model.gguf)
"""

import os
import sys
from pathlib import Path

import adapter
import tinywords

COMMON = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.15,  # large enough for logits that differ
}

# By name: the model type, what differs from the others, and the architecture in the GGUF.
MODELS = {
    "llama": ("llama", {"num_hidden_layers": 2, "tie_word_embeddings": False}, "llama"),
    "mistral": ("mistral", {"num_hidden_layers": 2, "tie_word_embeddings": False, "sliding_window": None}, "llama"),
    "qwen2": ("qwen2", {"num_hidden_layers": 2, "tie_word_embeddings": True}, "qwen2"),
    "qwen3": ("qwen3", {"num_hidden_layers": 2, "tie_word_embeddings": False, "head_dim": 16}, "qwen3"),
    # Six layers, since the sixth is the first that sees more than the sliding window.
    "gemma3": (
        "gemma3_text",
        {"num_hidden_layers": 6, "head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 64},
        "gemma3",
    ),
}


def make(name, folder, seed=1):
    """Write folder/hf and folder/model.gguf."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    import unpack

    model_type, settings, architecture = MODELS[name]
    words = tinywords.sentencepiece() if name == "gemma3" else tinywords.byte_level()
    ids = {key: words["tokens"].index(words[key]) for key in ("bos", "eos", "pad")}
    config = AutoConfig.for_model(
        model_type,
        vocab_size=len(words["tokens"]),
        **{f"{key}_token_id": value for key, value in ids.items()},
        **COMMON,
        **settings,
    )
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    for parameter in model.parameters():
        if parameter.ndim == 1:  # norms and biases start as ones and zeros, which would hide mistakes
            parameter.data += torch.randn_like(parameter) * 0.1
    folder = Path(folder)
    model.save_pretrained(folder / "hf")
    write_gguf(folder / "model.gguf", name, architecture, model, words, ids)
    AutoTokenizer.from_pretrained(**unpack.location(folder / "model.gguf")).save_pretrained(folder / "hf")


def write_gguf(path, name, architecture, model, words, ids):
    import gguf

    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(f"tiny {name}")
    describe(writer, model.config)
    writer.add_tokenizer_model(words["model"])
    writer.add_tokenizer_pre("gpt-2" if words["model"] == "gpt2" else "default")
    writer.add_token_list(words["tokens"])
    writer.add_token_types(words["types"])
    if "merges" in words:
        writer.add_token_merges(words["merges"])
    else:
        writer.add_token_scores([-float(i) for i in range(len(words["tokens"]))])
        writer.add_add_space_prefix(False)
    writer.add_bos_token_id(ids["bos"])
    writer.add_eos_token_id(ids["eos"])
    writer.add_pad_token_id(ids["pad"])
    writer.add_add_bos_token(words["model"] == "llama")
    writer.add_chat_template(words["template"])
    for tensor, data in sorted(tensors(model, architecture)):
        writer.add_tensor(tensor, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def describe(writer, config):
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    rope = config.rope_parameters
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(rope.get("full_attention", rope)["rope_theta"])
    if config.model_type == "gemma3_text":
        writer.add_sliding_window(config.sliding_window)


def tensors(model, architecture):
    """The model's weights as (name, array) of the GGUF, laid out as llama.cpp's converter does."""
    import gguf

    config = model.config
    arch = next(a for a, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture)
    names = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for key, data in model.state_dict().items():
        if key == "lm_head.weight" and config.tie_word_embeddings:
            continue
        data, module = data.float().numpy(), key.split(".")[-2]
        if architecture == "llama" and module in heads:
            data = adapter.permute(data, heads[module])
        if architecture == "gemma3" and key.endswith("norm.weight"):
            data = data + 1
        yield names.get_name(key, try_suffixes=(".weight", ".bias")), data


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    make(sys.argv[1], sys.argv[2])
