"""The templates that recipes can name are those of LLaMA-Factory."""

from __future__ import annotations

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from actors.inference.templates.student_templates import STUDENT_TEMPLATES

ALPACA = "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
VICUNA = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the user's questions."
)


def rendered(name: str, *contents: str, system: str | None = None) -> str:
    """A conversation whose turns are alternately the user's and the assistant's."""
    messages = [{"role": "system", "content": system}] if system is not None else []
    messages += [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(contents)]
    template = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(STUDENT_TEMPLATES[name])
    return template.render(messages=messages, bos_token="<s>", eos_token="</s>", add_generation_prompt=False)


@pytest.mark.parametrize(
    ("name", "prompt", "after_an_answer", "with_system"),
    [
        ("default", "<s>Human: Q</s>\nAssistant:", "A</s>\nHuman: R</s>\nAssistant:", "<s>System: S</s>\n"),
        ("default-0.9.1", "Human: Q\nAssistant:", "A</s>\nHuman: R\nAssistant:", "S\n"),
        (
            "alpaca",
            ALPACA + "### Instruction:\nQ\n\n### Response:\n",
            "A</s>\n\n### Instruction:\nR\n\n### Response:\n",
            "S",
        ),
        ("vicuna", VICUNA + "USER: Q ASSISTANT:", "A</s>USER: R ASSISTANT:", "S"),
    ],
)
def test_a_template_renders_turns_and_system_texts(
    name: str, prompt: str, after_an_answer: str, with_system: str
) -> None:
    assert rendered(name, "Q") == prompt
    assert rendered(name, "Q", "A", "R") == prompt + after_an_answer
    assert rendered(name, "Q", system="S").startswith(with_system)
    assert rendered(name, "Q", system="S").endswith(rendered(name, "Q", "A", "Q")[-len("Q ASSISTANT:") :])


def test_every_template_is_tested() -> None:
    assert [*STUDENT_TEMPLATES] == ["default", "default-0.9.1", "alpaca", "vicuna"]
