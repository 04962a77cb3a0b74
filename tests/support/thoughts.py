"""Replies of thinking models in all forms."""

from __future__ import annotations

THINKING = {
    "think": "<think>\n{thoughts}\n</think>\n\n{reply}",
    "opened by the prompt": "{thoughts}\n</think>\n\n{reply}",
    "empty": "<think>\n\n</think>\n\n{reply}",
    "thinking": "<thinking>{thoughts}</thinking>\n{reply}",
    "thought": "<thought>{thoughts}</thought>\n{reply}",
    "reasoning": "<reasoning>{thoughts}</reasoning>\n{reply}",
    "seed": "<seed:think>{thoughts}</seed:think>\n{reply}",
    "brackets": "[THINK]{thoughts}[/THINK]{reply}",
    "triangles": "\u25c1think\u25b7{thoughts}\u25c1/think\u25b7{reply}",
    "solution": "<|begin_of_thought|>\n{thoughts}\n<|end_of_thought|>\n\n"
    "<|begin_of_solution|>\n{reply}\n<|end_of_solution|>",
    "response": "<|START_THINKING|>{thoughts}<|END_THINKING|><|START_RESPONSE|>{reply}<|END_RESPONSE|>",
    "harmony": "<|channel|>analysis<|message|>{thoughts}<|end|><|start|>assistant<|channel|>final<|message|>{reply}",
    "harmony without tokens": "analysis{thoughts}assistantfinal{reply}",
}
"""Templates with the fields `thoughts` and `reply`."""
