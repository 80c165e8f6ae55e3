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

import configuration
import manifest
from job import RunError

# Longer arrays of a GGUF hold its vocabulary.
LONG = 1000


# Pre-tokenizers of llama.cpp that take every digit by itself before they cut as GPT-2's does.
DIGITS_APART = {"smollm", "starcoder", "refact", "command-r", "codeshell"}


def unpack(gguf_file, folder, digest=""):
    """Fill folder from gguf_file unless it is whole. Raises RunError."""
    folder = Path(folder)
    if folder.exists():
        try:
            manifest.verify(folder, hashes=False)
            return
        except manifest.Damaged:
            shutil.rmtree(folder)
    found = "sha256:" + manifest.sha256(gguf_file)
    if digest not in ("", found):
        raise RunError(f"{gguf_file}: digest is {found}, not {digest}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    manifest.remove_remains(folder)
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

    try:
        metadata, _ = read_gguf_metadata(str(gguf_file))
        tensors = {tensor.name: tensor for tensor in quick_reader()(gguf_file).tensors}
    except (ValueError, IndexError, struct.error) as cause:
        raise RunError(f"{gguf_file}: not a GGUF that can be read: {cause}") from None
    place = location(gguf_file)
    original, gguf.GGUFReader = gguf.GGUFReader, quick_reader()
    try:
        config = AutoConfig.from_pretrained(**place)
        configuration.complete(config, metadata, tensors.get("rope_freqs.weight"))
        model = AutoModelForCausalLM.from_pretrained(**place, config=config, dtype=torch.float32)
    finally:
        gguf.GGUFReader = original
    # What was loaded is plain float32 now, but is still marked as quantized, and the Trainer refuses that.
    model.hf_quantizer = None
    for marker in ("is_quantized", "quantization_method"):
        model.__dict__.pop(marker, None)
    del model.config.quantization_config
    return model


def location(gguf_file):
    """What from_pretrained wants to know of a GGUF file."""
    folder, name = os.path.split(os.path.abspath(gguf_file))
    return {"pretrained_model_name_or_path": folder, "gguf_file": name}


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


def tokenizer(gguf_file, folder):
    """Save the tokenizer of a GGUF into folder, such that it cuts text as llama.cpp does. Training does not need it:
    it is for those who take the unpacked model elsewhere."""
    import gguf
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer

    words = AutoTokenizer.from_pretrained(**location(gguf_file))
    field = gguf.GGUFReader(gguf_file).get_field("tokenizer.ggml.pre")
    if field and field.contents() in DIGITS_APART:  # transformers takes all of these for GPT-2's
        words.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    words.save_pretrained(folder)


if __name__ == "__main__":
    from run import prepare_environment

    prepare_environment(os.cpu_count())
    unpack(sys.argv[1], sys.argv[2])
    if sys.argv[3:] == ["--tokenizer"]:
        tokenizer(sys.argv[1], sys.argv[2])
