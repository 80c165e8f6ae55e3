"""Renders the templates of this folder with the training side's Jinja.

    python render.py > rendered.json

The Go tests hold the engine's rendering against the result.
"""
import json
import pathlib

from transformers.utils.chat_template_utils import render_jinja_template

TALKS = {
    "one": [{"role": "user", "content": "Hi"}],
    "system": [{"role": "system", "content": " Be kind. "}, {"role": "user", "content": "What's 2 < 3?\n"}],
    "turns": [
        {"role": "user", "content": "<tool>x</tool>"},
        {"role": "assistant", "content": "<think>a</think>\n\nB  "},
        {"role": "user", "content": "Grüße 😀\n\nzwei"},
    ],
    "closed": [{"role": "user", "content": "{{ 'no' }} {% x %}"}, {"role": "assistant", "content": " yes\n"}],
    "wrong": [{"role": "assistant", "content": "I"}, {"role": "tool", "content": "t"}],
}


def main():
    here = pathlib.Path(__file__).parent
    out = []
    for path in sorted(here.glob("*.jinja")) + sorted((here / "../../templates").glob("*.jinja")):
        for name, talk in TALKS.items():
            for add in (False, True):
                case = {"template": path.name, "talk": name, "messages": talk, "add_generation_prompt": add}
                try:
                    texts, _ = render_jinja_template(
                        [talk], chat_template=path.read_text(), add_generation_prompt=add,
                        bos_token="<s>", eos_token="</s>", enable_thinking=False)
                    case["text"] = texts[0]
                except Exception as err:
                    case["error"] = type(err).__name__
                out.append(case)
    print(json.dumps(out, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
