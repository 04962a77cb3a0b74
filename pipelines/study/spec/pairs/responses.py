"""The `responses` block of a study file: which teachers answer, how they decode, and how one of N answers is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from pipelines.rows.readers import ColumnField
from pipelines.study.spec.common.basics import (
    ClassifierName,
    ModelName,
    Name,
    SamplingSpec,
    SeedList,
    StrictModel,
    SystemPrompt,
    as_list,
    check_distinct_seeds,
    number_label,
    scalar_or_list_schema,
)

Temperature = Annotated[float, Field(ge=0, le=2)]
TopP = Annotated[float, Field(gt=0, le=1)]
ONE_OR_MORE = BeforeValidator(as_list), Field(min_length=1, json_schema_extra=scalar_or_list_schema)
SelectionRule = Literal["best", "worst"]
SELECTION_RULES: dict[str, SelectionRule] = {"best-of": "best", "worst-of": "worst"}


@dataclass(frozen=True, slots=True)
class BestOfN:
    """Which of several candidates is chosen, according to a reward model."""

    rule: SelectionRule
    candidates: int
    reward: str


@dataclass(frozen=True, slots=True)
class DecodingVariant:
    """One way in which a teacher answers: a decoding of the study with one temperature and one top-p.

    `seeds` says with which seeds it is sampled, as in the study file.
    """

    name: str
    sampling: SamplingSpec
    best_of_n: BestOfN | None = None
    seeds: SeedList = 1


class Decoding(StrictModel):
    """A named way in which teachers answer. Lists of temperatures and top-p values make a sweep over all their pairs.

    The variants of a sweep are named after the decoding and their values: `warm-t0.7-p0.9`. `draw` says which answer is
    used. `one`: one answer, greedy at temperature 0. `sample`: one answer, at a temperature above 0. `best-of` and
    `worst-of`: the one of several `candidates` with the highest or lowest reward from the model `reward` (2411.07133,
    Table 3).
    """

    name: Name
    temperature: Annotated[list[Temperature], *ONE_OR_MORE] = Field(default=[0.0])
    top_p: Annotated[list[TopP], *ONE_OR_MORE] = Field(default=[1.0])
    max_tokens: int = Field(default=512, gt=0)
    seeds: SeedList = Field(
        default=1,
        description="seeds with which answers are sampled, each for a data set: how many, from the study's seed, or a "
        "list",
    )
    draw: Literal["one", "sample", "best-of", "worst-of"] = "one"
    candidates: int = Field(default=5, ge=2, description="best-of and worst-of: number of sampled answers")
    reward: ClassifierName | None = Field(
        default=None, description="best-of and worst-of: reward model that scores the answers"
    )

    @model_validator(mode="after")
    def _fits(self) -> Decoding:
        if self.draw not in SELECTION_RULES and {"candidates", "reward"} & self.model_fields_set:
            raise ValueError("'candidates' and 'reward' are only allowed with 'draw: best-of' or 'draw: worst-of'")
        if self.draw in SELECTION_RULES and self.reward is None:
            raise ValueError(f"'draw: {self.draw}' needs a 'reward', the model that scores the candidates")
        if self.draw != "one" and min(self.temperature) == 0:
            raise ValueError(f"'draw: {self.draw}' needs a temperature above 0: greedy answers are all the same")
        if "seeds" in self.model_fields_set and min(self.temperature) == 0:
            raise ValueError("'seeds' needs a temperature above 0: greedy answers are all the same")
        check_distinct_seeds(self.seeds)
        if any(len(set(values)) < len(values) for values in (self.temperature, self.top_p)):
            raise ValueError(f"duplicate value in 'temperature' {self.temperature} or 'top_p' {self.top_p}")
        return self

    def variants(self) -> list[DecodingVariant]:
        """Return its variants: one for each pair of temperature and top-p."""
        best_of_n = BestOfN(SELECTION_RULES[self.draw], self.candidates, self.reward) if self.reward else None
        return [
            DecodingVariant(
                self.name
                + _variant_suffix("t", self.temperature, temperature)
                + _variant_suffix("p", self.top_p, top_p),
                SamplingSpec(temperature=temperature, top_p=top_p, max_tokens=self.max_tokens),
                best_of_n,
                self.seeds,
            )
            for temperature, top_p in product(self.temperature, self.top_p)
        ]


class Given(StrictModel):
    """Answers to the seeds that exist already: a column of the seed files, or other files. They form a data set.

    In the study, they are used as the answers of a teacher with this name; `output` is the seeds' own answer.
    """

    name: Name
    seeds: Name | None = Field(default=None, description="the seed set that they answer; default: every one")
    column: str | None = Field(
        default=None, description="column of the seed files with the answers; 'output': the seeds' own answers"
    )
    file: (
        Annotated[list[str], BeforeValidator(as_list), Field(min_length=1, json_schema_extra=scalar_or_list_schema)]
        | None
    ) = Field(default=None, description="file, folder or glob with the answers, relative to the study file, or a list")
    columns: dict[ColumnField, str | None] = Field(
        default={}, description="of 'file': field of a row to name of its column, as in 'seeds'"
    )
    match: Literal["instruction", "row"] = Field(
        default="instruction",
        description="of 'file': how answers are found: by equal instruction and input, or by the number of the row",
    )

    @model_validator(mode="after")
    def _one_source(self) -> Given:
        if (self.column is None) == (self.file is None):
            raise ValueError("give exactly one of 'column' and 'file'")
        if self.column and (unused := sorted({"columns", "match"} & self.model_fields_set)):
            raise ValueError(f"'{unused[0]}' has a meaning for 'file' only")
        return self


class Responses(StrictModel):
    """Which models answer the instructions, and how; and which answers exist already."""

    teachers: list[ModelName] = Field(default=[])
    given: list[Given] = Field(default=[], description="existing answers to the un-evolved seeds")
    decodings: list[Decoding] = Field(default=[Decoding(name="greedy", max_tokens=2048)], min_length=1)
    answer_seeds: bool = Field(default=True, description="also answer the un-evolved seeds (the baseline, round 0)")
    system: SystemPrompt | None = Field(
        default=None,
        description="system prompt of the teachers, before the system text of a row: a text, or {file: ...}",
    )
    thinking: Literal["cut", "keep", "train"] = Field(
        default="cut",
        description="teachers' thoughts, which are always stored. cut: only stored; keep: also exported; train: also "
        "learned by students, before the answer",
    )
    truncated: Literal["drop", "keep"] = Field(
        default="drop", description="whether an answer that was cut off at its token limit can be selected for training"
    )

    @property
    def variants(self) -> list[DecodingVariant]:
        """The variants of all decodings."""
        return [variant for decoding in self.decodings for variant in decoding.variants()]


def _variant_suffix(letter: str, given: Sequence[float], value: float) -> str:
    return f"-{letter}{number_label(value)}" if len(given) > 1 else ""
