"""vLLM cannot apply LoRA adapters to float32 models on GPUs. The check of a study says so before the training."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.study.inputs.models import check_adapters
from pipelines.study.spec.study import Study


def study(tuning: str = "full", **model: Any) -> Study:
    return Study.model_validate(
        {
            "study": "s",
            "seeds": [{"name": "world", "world": {"count": 2}}],
            "models": {"base": {"source": "bundled:tiny-1m-chat", **model}},
            "evolution": {"evolvers": ["base"]},
            "responses": {"teachers": ["base"]},
            "recipes": {"mine": {"tuning": tuning}},
            "students": [{"model": "base", "recipe": "mine"}],
            "benchmarks": [{"name": "world", "world": {"count": 2}}],
        }
    )


@pytest.mark.parametrize(
    "wrong",
    [
        study(dtype="float32", gpus=1, runtime={"lora": True}),
        study(dtype="float32", gpus=2, engine="vllm", options={"lora": True}),
        study("lora", dtype="float32", gpus=1),
    ],
)
def test_a_float32_model_with_adapters_on_gpus_is_refused(wrong: Study) -> None:
    (problem,) = check_adapters(wrong, "base")
    assert problem.field == ("dtype",) and "not float32; set 'dtype' to auto or bfloat16" in problem.message


@pytest.mark.parametrize(
    "right",
    [
        study("lora", gpus=1),
        study("lora", dtype="bfloat16", gpus=1),
        study("lora", dtype="float32"),  # on a CPU
        study("lora", dtype="float32", gpus=1, engine="transformers"),
        study(dtype="float32", gpus=1),
    ],
)
def test_other_models_may_have_adapters(right: Study) -> None:
    assert not [*check_adapters(right, "base")]
