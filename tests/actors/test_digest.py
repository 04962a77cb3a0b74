"""Digests of requests and trainings stay what they are: what was kept under them would be lost otherwise.

A test here that fails after a change of a field's name or default, or of the canonical form, asks for a decision: undo
the change, or raise VERSION and write the new digests down. Unfinished work is then asked for once more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, make_dataclass, replace
from typing import Any

import pytest

from actors.digest import digest
from actors.engine import ClassifyRequest, GenerateRequest, LogprobRequest, Request, Sampling
from actors.training.spec import TrainSpec
from actors.training.trainer import digest as training_digest

MESSAGES = (("system", "Be brief."), ("user", "Grüße 🌍\n"))
# every field is written out, also where it has its default: a default that changes changes the digest
PLAIN: list[tuple[Request, str]] = [
    (
        GenerateRequest("r1", MESSAGES, Sampling(0.0, 1.0, 512), 0, False, None, None),
        "0e54289dc4584bc16376f475b1363c65",
    ),
    (LogprobRequest("r1", "a", "b", "", False, "auto"), "e52d1ffdf4019d058b3eb612a88ba6f4"),
    (ClassifyRequest("r1", "", None, ()), "40d67df32a1aae1197fe1879b2ecd88e"),
]
FULL: list[tuple[Request, str]] = [
    (
        GenerateRequest("r1", MESSAGES, Sampling(0.7, 0.9, 9), 3, True, '{"type": "object"}', "lora"),
        "593c9158a803df522b4d661f5efcd85d",
    ),
    (LogprobRequest("r1", "a", "b", "c", True, "never"), "7039b5404f09b78def78ef582a589abc"),
    (ClassifyRequest("r1", "a", "b"), "338220b08f701c032356f1cb1d3190eb"),
    (ClassifyRequest("r1", messages=MESSAGES), "30f57e3dec8bfe392b84de79ca4f89a6"),
]
SPEC = TrainSpec(
    base="base",
    revision=None,
    dtype="auto",
    tuning="full",
    learning_rate=2e-5,
    epochs=3,
    batch_size=64,
    micro_batch_size=1,
    warmup_ratio=0.03,
    warmup_steps=None,
    weight_decay=0.0,
    max_length=2048,
    packing=False,
    lora_rank=8,
    lora_alpha=8,
    lora_dropout=0.0,
    lora_targets=("all-linear",),
    seed=0,
)
PAIRS = [[("Why?", "Because.")], [("How?", "Thus \ud800")]]
OTHER: dict[str, Any] = {
    "id": "other",
    "messages": (("user", "other"),),
    "sampling": Sampling(0.1),
    "context": "other",
    "text": "other",
    "alone": "other",
    "alone_before": "other",
    "counted": ("other",),
    "chat": True,
    "bos": "always",
    "before": (("user", "other"),),
    "chat_template": "other",
    "loss": "all",
    "scheduler": "linear",
    "optimizer": "adafactor",
    "truncate": True,
    "thinking": True,
    "template_args": (("other", 1),),
    "logprobs": True,
    "schema": "{}",
    "adapter": "other",
    "ranks": True,
    "top_logprobs": 5,
    "pair": "other",
    "temperature": 0.1,
    "top_p": 0.1,
    "max_tokens": 1,
    "base": "other",
    "revision": "other",
    "dtype": "bfloat16",
    "tuning": "lora",
    "learning_rate": 0.1,
    "epochs": 1,
    "batch_size": 1,
    "micro_batch_size": 2,
    "warmup_ratio": 0.1,
    "warmup_steps": 1,
    "weight_decay": 0.1,
    "max_length": 1,
    "packing": True,
    "lora_rank": 1,
    "lora_alpha": 1,
    "lora_dropout": 0.1,
    "lora_targets": ("q_proj",),
    "seed": 1,
}
RECORDS = [
    GenerateRequest("r1", MESSAGES, Sampling()),
    Sampling(),
    LogprobRequest("r1", "a", "b"),
    ClassifyRequest("r1", "a"),
    SPEC,
]


@pytest.mark.parametrize(("request_", "expected"), [*PLAIN, *FULL])
def test_a_request_has_the_digest_that_it_always_had(request_: Request, expected: str) -> None:
    assert request_.digest() == expected


def test_a_training_has_the_digest_that_it_always_had() -> None:
    assert training_digest(SPEC, PAIRS) == "200c3c353eeb"


@pytest.mark.parametrize(
    ("record", "name"), [(record, field.name) for record in RECORDS for field in fields(record)], ids=str
)
def test_each_field_enters_the_digest(record: Any, name: str) -> None:
    changes = {name: OTHER[name]} | ({"text": ""} if isinstance(record, ClassifyRequest) and name == "messages" else {})
    assert digest("k", replace(record, **changes)) != digest("k", record)


@dataclass(frozen=True)
class _Before:
    id: str
    seed: int = 0


def test_a_new_name_of_the_class_or_a_new_field_with_a_default_changes_nothing() -> None:
    after = make_dataclass("_After", [("id", str), ("top_k", int, -1), ("seed", int, 0)])
    for values in ({"id": "r"}, {"id": "r", "seed": 3}):
        assert digest("k", after(**values)) == digest("k", _Before(**values))
    assert digest("k", after("r", top_k=5)) != digest("k", _Before("r"))
    assert digest("other", _Before("r")) != digest("k", _Before("r"))


def test_the_rows_of_a_training_are_in_its_digest_as_pairs_and_in_their_order() -> None:
    assert training_digest(SPEC, [[("a", "b"), ("c", "d")]]) == training_digest(SPEC, [[["a", "b"], ["c", "d"]]])
    different = ([[("a", "b"), ("c", "d")]], [[("c", "d"), ("a", "b")]], [[("a", "b")], [("c", "d")]], [[("ab", "")]])
    assert len({training_digest(SPEC, sets) for sets in different}) == len(different)


def test_what_has_no_canonical_form_has_no_digest() -> None:
    with pytest.raises(TypeError, match="set"):
        digest("k", {"a", "b"})
    with pytest.raises(ValueError):
        digest("k", math.nan)
