"""What transformers leaves out when it reads a model's configuration from a GGUF."""

from job import RunError


def complete(config, metadata, factors):
    """Set what transformers 5.23 leaves out of a GGUF's metadata, or refuse: an adapter for a slightly different
    base would look fine here and fail in use."""
    arch = metadata["general.architecture"]
    head = metadata.get(f"{arch}.attention.key_length")
    if head and hasattr(config, "head_dim"):
        config.head_dim = head
    if arch == "gemma3" and head:
        largest = config.num_hidden_layers == 62  # the 27B, which llama.cpp too knows by its layers
        config.query_pre_attn_scalar = config.hidden_size // config.num_attention_heads if largest else head
    rope = config.rope_parameters
    rope = rope.get("full_attention", rope)
    scaling = metadata.get(f"{arch}.rope.scaling.type", "none")
    if scaling == "linear":
        rope.update(rope_type="linear", factor=metadata[f"{arch}.rope.scaling.factor"])
    elif scaling != "none":
        raise RunError(f'rope scaling "{scaling}" cannot be carried over')
    if factors is not None:
        llama3_rope(config, factors.data)


def llama3_rope(config, factors):
    """Llama 3.1 and later keep their rope scaling as a tensor of factors, one for each pair of dimensions."""
    import torch
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    theta, pairs = config.rope_parameters["rope_theta"], len(factors)
    config.rope_parameters = {
        "rope_type": "llama3",
        "rope_theta": theta,
        "factor": float(factors.max()),
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
    plain = 1.0 / theta ** (torch.arange(pairs) / pairs)
    if not torch.allclose(plain / scaled, torch.tensor(factors), rtol=1e-3):
        raise RunError("rope factors are not those of Llama 3")
