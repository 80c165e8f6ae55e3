"""Renders the templates of this folder with the training side's Jinja.

    python render.py > rendered.json

The Go tests hold the engine's rendering of the same conversation against it.
"""
import json
import pathlib

from transformers.utils.chat_template_utils import render_jinja_template

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather <today> in a city.",
        "parameters": {
            "type": "object",
            "properties": {"z": {"type": "string"}, "city": {"type": "string", "default": 1.0}},
            "required": ["city"],
        },
    },
}
CALL = {"id": "abcdefghi", "type": "function", "function": {"name": "weather", "arguments": {"city": "Oslo & <co>"}}}
TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "How is it in Oslo?"},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": "{\"t\": 3}", "tool_call_id": "abcdefghi", "name": "weather"},
    {"role": "user", "content": "And in Rome?"},
]


def main():
    out = {}
    for path in sorted(pathlib.Path(__file__).parent.glob("*.jinja")):
        texts, _ = render_jinja_template(
            [TALK], tools=[TOOL], chat_template=path.read_text(), add_generation_prompt=True,
            bos_token="<s>", eos_token="</s>")
        out[path.stem] = texts[0]
    print(json.dumps(out, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
