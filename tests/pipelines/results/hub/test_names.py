"""Names of students on the hub are allowed there, unique, and stable."""

from __future__ import annotations

from huggingface_hub.utils import validate_repo_id

from pipelines.results.hub.names import MAX_NAME, student_repository


def test_a_long_name_is_cut_and_stays_unique() -> None:
    first, second = (student_repository("org/study", f"model-{'x' * 100}-{end}") for end in "ab")
    assert first != second and first.startswith("org/study-model-xxx")
    for name in (first, second, student_repository("org/study", "a--b..c-"), student_repository("org/s.", "m")):
        validate_repo_id(name)
        assert len(name.partition("/")[2]) <= MAX_NAME
    assert student_repository("org/study", "m-lora") == "org/study-m-lora"
