"""Unpack a GGUF file to a Hugging Face model folder (float32), which PEFT can train adapters for.

It is done once per file: a folder that is whole stays as it is. By hand, optionally with the tokenizer, which
training does not need and which takes half a minute for a large vocabulary:

    python unpack.py model.gguf folder [--tokenizer]
"""

import os
import shutil
import struct
import sys
from pathlib import Path

import manifest

# Longer arrays of a GGUF hold its vocabulary.
LONG = 1000


class Unsupported(Exception):
    """The GGUF holds something whose meaning would be lost."""


def unpack(gguf_file, folder, digest=""):
    """Fill folder from gguf_file unless it is whole. Raises Unsupported, or ValueError for a file that is none."""
    folder = Path(folder)
    if folder.exists():
        try:
            manifest.verify(folder, hashes=False)
            return
        except manifest.Damaged:
            shutil.rmtree(folder)
    found = "sha256:" + manifest.sha256(gguf_file)
    if digest not in ("", found):
        raise ValueError(f"{gguf_file}: digest is {found}, not {digest}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        model = load(gguf_file)
        model.save_pretrained(partial)
        manifest.write(partial, gguf=found)
        os.rename(partial, folder)
        manifest.sync(folder.parent)
    except OSError:
        if not (folder / manifest.NAME).exists():  # else another run was first, with the same content
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def load(gguf_file):
    """The model in a GGUF file, in float32, as if it had never been quantized."""
    import gguf
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.integrations.gguf import read_gguf_metadata

    metadata, names = read_gguf_metadata(str(gguf_file))
    place = {"pretrained_model_name_or_path": os.path.dirname(os.path.abspath(gguf_file)), "gguf_file": os.path.basename(gguf_file)}
    original, gguf.GGUFReader = gguf.GGUFReader, quick_reader()
    try:
        config = AutoConfig.from_pretrained(**place)
        complete(config, metadata, rope_factors(gguf_file) if "rope_freqs.weight" in names else None)
        model = AutoModelForCausalLM.from_pretrained(**place, config=config, dtype=torch.float32)
    finally:
        gguf.GGUFReader = original
    # What was loaded is plain float32 now, but is still marked as quantized, and the Trainer refuses that.
    model.hf_quantizer = None
    for marker in ("is_quantized", "quantization_method"):
        model.__dict__.pop(marker, None)
    del model.config.quantization_config
    return model


def quick_reader():
    """gguf's reader, except that it knows how long the vocabulary is and does not look at the words: that is where
    most of the time went."""
    import gguf
    import numpy as np

    class Reader(gguf.GGUFReader):
        def _get_field_parts(self, orig_offs, raw_type):
            if raw_type != gguf.GGUFValueType.ARRAY:
                return super()._get_field_parts(orig_offs, raw_type)
            item, length = struct.unpack_from("<IQ", self.data, orig_offs)
            if length <= LONG or self.byte_order != "I":
                return super()._get_field_parts(orig_offs, raw_type)
            end, types = orig_offs + 12, [gguf.GGUFValueType.ARRAY, gguf.GGUFValueType(item)]
            if types[1] != gguf.GGUFValueType.STRING:
                size = length * np.dtype(self.gguf_scalar_to_np[types[1]]).itemsize
                return end + size - orig_offs, [], [], types
            view, size_at = memoryview(self.data), struct.Struct("<Q").unpack_from
            for _ in range(length):
                end += 8 + size_at(view, end)[0]
            return end - orig_offs, [np.empty(0, np.uint8)], [0] * length, types

    return Reader


def complete(config, metadata, factors):
    """Set what transformers 5.23 leaves out of a GGUF's metadata, or refuse: an adapter for a slightly different
    base would look fine here and fail in use."""
    arch = metadata["general.architecture"]
    head = metadata.get(f"{arch}.attention.key_length")
    if head and hasattr(config, "head_dim"):
        config.head_dim = head
    if arch == "gemma3" and head:
        config.query_pre_attn_scalar = head
    rope = config.rope_parameters
    rope = rope.get("full_attention", rope)
    scaling = metadata.get(f"{arch}.rope.scaling.type", "none")
    if scaling == "linear":
        rope.update(rope_type="linear", factor=metadata[f"{arch}.rope.scaling.factor"])
    elif scaling != "none":
        raise Unsupported(f'rope scaling "{scaling}" cannot be carried over')
    if factors is not None:
        llama3_rope(config, factors)


def rope_factors(gguf_file):
    import gguf

    return next(t.data for t in quick_reader()(gguf_file).tensors if t.name == "rope_freqs.weight")


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
        raise Unsupported("rope factors are not those of Llama 3")
