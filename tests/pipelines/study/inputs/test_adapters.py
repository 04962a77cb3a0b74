"""Which students share an engine as adapters of their base, and when vLLM cannot apply adapters at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.study.inputs.models import check_adapters, evaluated_spec, shared_base_spec
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
        study("lora", dtype="float32", gpus=1),  # its students are loaded merged
        study("lora", dtype="float32", gpus=1, engine="transformers"),
        study(dtype="float32", gpus=1),
    ],
)
def test_other_models_may_have_adapters(right: Study) -> None:
    assert not [*check_adapters(right, "base")]


def options(found: Study) -> dict[str, Any] | None:
    spec = shared_base_spec(found, "base", Path())
    if spec is None:
        return None
    plain = evaluated_spec(found, "base", Path())
    assert (spec.model, spec.student_template, spec.dtype) == (plain.model, plain.student_template, plain.dtype)
    return dict(spec.options)


def test_lora_students_share_the_engine_of_their_base() -> None:
    assert options(study("lora")) == {"lora": True, "max_loras": 8}
    assert options(study("lora", gpus=1)) == {"lora": True, "max_loras": 8, "max_lora_rank": 8}
    given = {"max_loras": 2, "max_lora_rank": 64, "max_num_seqs": 4}
    assert options(study("lora", gpus=1, runtime=given)) == {"lora": True} | given


@pytest.mark.parametrize(
    "alone",
    [
        study(),
        study("lora", engine="scripted"),
        study("lora", runtime={"lora": False}),
        study("lora", gpus=1, options={"quantization": "fp8"}),
        study("lora", gpus=1, dtype="float32"),
    ],
)
def test_others_have_an_engine_of_their_own(alone: Study) -> None:
    assert options(alone) is None
