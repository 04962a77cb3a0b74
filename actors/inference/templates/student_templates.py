"""Chat templates that a recipe can name, for students of any base: they have no control token but BOS and EOS.

They are those of LLaMA-Factory (`default` of versions 0.9.1 and 0.9.3, `alpaca`, `vicuna`), written in Jinja. A system
text takes the place of a template's own first sentence. `default` also puts a BOS before the conversation, if the
tokenizer has one.
"""

from __future__ import annotations

from actors.inference.templates.alpaca import PREAMBLE, RESPONSE_HEADER

OWN = "own"  # the template of the base, or `default` if it has none
DEFAULT = "default"
_TURN_AFTER_ANSWER = "{% if not loop.first and loop.previtem['role'] == 'assistant' %}"
_ANSWER = "{{ message['content'] + eos_token }}"


def _with_preamble(preamble: str, user: str, separator: str) -> str:
    """Return a template that begins with `preamble`; `separator` comes between an answer and the next user turn."""
    return (
        "{% if messages[0]['role'] != 'system' %}{{ " + repr(preamble) + " }}{% endif %}"
        "{% for message in messages %}"
        "{% if message['role'] == 'system' %}{{ message['content'] }}"
        "{% elif message['role'] == 'user' %}"
        + _TURN_AFTER_ANSWER + "{{ " + repr(separator) + " }}{% endif %}{{ " + user + " }}"
        "{% else %}" + _ANSWER + "{% endif %}{% endfor %}"
    )  # fmt: skip


STUDENT_TEMPLATES: dict[str, str] = {
    DEFAULT: (
        "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' %}{{ message['content'] }}"
        "{% else %}{{ {'user': 'Human', 'system': 'System'}[message['role']] + ': ' + message['content'] }}{% endif %}"
        "{{ eos_token + '\\n' }}{% if message['role'] == 'user' %}Assistant:{% endif %}{% endfor %}"
    ),
    "default-0.9.1": (
        "{% for message in messages %}"
        "{% if message['role'] == 'system' %}{{ message['content'] + '\\n' }}"
        "{% elif message['role'] == 'user' %}"
        + _TURN_AFTER_ANSWER + "{{ '\\n' }}{% endif %}"
        "{{ 'Human: ' + message['content'] + '\\nAssistant:' }}"
        "{% else %}" + _ANSWER + "{% endif %}{% endfor %}"
    ),
    "alpaca": _with_preamble(
        PREAMBLE,
        "'### Instruction:\\n' + message['content'] + '\\n\\n" + RESPONSE_HEADER + "\\n'",
        "\n\n",
    ),
    "vicuna": _with_preamble(
        "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, "
        "detailed, and polite answers to the user's questions.",
        "'USER: ' + message['content'] + ' ASSISTANT:'",
        "",
    ),
}  # fmt: skip
