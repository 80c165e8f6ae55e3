"""Turn a PEFT LoRA adapter into a GGUF adapter for the GGUF file that its base was unpacked from.

It needs neither torch nor the base's weights, only the base's config.json. By hand:

    python adapter.py adapter base-folder adapter.gguf llama
"""

import json
import os
import re
import sys
from pathlib import Path

import manifest
from job import RunError

# For these, llama.cpp's converter is known to leave q and k as they are, or to permute them as done here.
ARCHITECTURES = {"llama", "qwen2", "qwen3", "gemma3"}

TENSOR = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])\.weight")


def convert(adapter, base, target, architecture):
    """Write the adapter in folder adapter, trained on the model in folder base, to the GGUF file target.

    Raises RunError for an adapter that a GGUF cannot hold.
    """
    import gguf
    from safetensors.numpy import load_file

    settings = json.loads(Path(adapter, "adapter_config.json").read_text(encoding="utf-8"))
    config = json.loads(Path(base, "config.json").read_text(encoding="utf-8"))
    check(settings, architecture)
    partial = Path(f"{target}.part")
    writer = gguf.GGUFWriter(partial, architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(settings["lora_alpha"]))
    for name, data in sorted(tensors(load_file(Path(adapter, "adapter_model.safetensors")), config, architecture)):
        writer.add_tensor(name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    manifest.move(partial, target)


def check(settings, architecture):
    if architecture not in ARCHITECTURES:
        raise RunError(f'architecture "{architecture}": want one of {", ".join(sorted(ARCHITECTURES))}')
    for key in ("use_rslora", "use_dora", "modules_to_save", "alpha_pattern", "rank_pattern"):
        if settings.get(key):
            raise RunError(f"adapter_config.json: {key} cannot be kept in a GGUF adapter")
    if settings.get("bias", "none") != "none":
        raise RunError("adapter_config.json: a bias cannot be kept in a GGUF adapter")


def tensors(weights, config, architecture):
    """The adapter's weights as (name, array) of the GGUF."""
    import gguf
    import numpy as np

    arch = next(a for a, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture)
    names = gguf.get_tensor_name_map(arch, config["num_hidden_layers"])
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    for key, data in weights.items():
        match = TENSOR.fullmatch(key)
        name = match and names.get_name(match["module"])
        if not name:
            raise RunError(f'adapter tensor "{key}" has no place in a GGUF of architecture "{architecture}"')
        module = match["module"].rpartition(".")[2]
        if architecture == "llama" and match["side"] == "B" and module in heads:
            data = permute(data, heads[module])
        yield f"{name}.weight.lora_{match['side'].lower()}", np.ascontiguousarray(data, np.float32)


def permute(rows, heads):
    """The order of q's and k's rows in a GGUF of architecture llama. Hugging Face keeps the two halves of a head
    apart, llama.cpp takes their rows in turn."""
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return halves.swapaxes(1, 2).reshape(rows.shape)


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        convert(*sys.argv[1:5])
    except RunError as error:
        sys.exit(f"error: {error}")
