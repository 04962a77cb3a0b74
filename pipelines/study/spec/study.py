"""The study file as frozen, strict types, from which the JSON Schema and the step keys are generated."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from pipelines.study.spec.common.basics import (
    OWN_BASE,
    ClassifierName,
    Name,
    StrictModel,
    as_list,
    none_or_list,
    none_scalar_or_list_schema,
    scalar_or_list_schema,
)
from pipelines.study.spec.common.model import Model
from pipelines.study.spec.common.patterns import Pattern
from pipelines.study.spec.common.sets import UnitedSet
from pipelines.study.spec.common.trackers import Trackers
from pipelines.study.spec.evaluation.benchmarks import Benchmark
from pipelines.study.spec.evaluation.performance import EXAMPLE, checked_formula
from pipelines.study.spec.instructions.evolution import Evolution
from pipelines.study.spec.instructions.seeds import Seeds
from pipelines.study.spec.pairs.responses import Responses
from pipelines.study.spec.pairs.scoring import Car, Contamination, Diversity, Judging, Lengths, Scoring
from pipelines.study.spec.pairs.selection import Selection
from pipelines.study.spec.presentation.claims import Claim
from pipelines.study.spec.presentation.layouts import Layout
from pipelines.study.spec.search import Search
from pipelines.study.spec.training.recipes import Recipe, Student, add_published_recipes


class Budget(StrictModel):
    """The most that a study may spend in a store, over all of its runs. A run stops when a limit is reached."""

    dollars: float | None = Field(default=None, gt=0, description="of endpoints whose models have a 'price'")
    tokens: int | None = Field(default=None, gt=0, description="that all models read and write")
    gpu_hours: float | None = Field(default=None, gt=0, description="for which replicas and trainings hold GPUs")

    def reached(self, dollars: float, tokens: float, gpu_hours: float | None) -> str:
        """Return the limits that these amounts reach, as a part of a sentence; an empty text if they reach none."""
        amounts = (
            ("{:,.2f} of {:,.2f} dollars", dollars, self.dollars),
            ("{:,.0f} of {:,.0f} tokens", tokens, self.tokens),
            ("{:,.2f} of {:,.2f} GPU-hours", gpu_hours, self.gpu_hours),
        )
        known = [(text, amount, limit) for text, amount, limit in amounts if amount is not None and limit is not None]
        return " and ".join(text.format(amount, limit) for text, amount, limit in known if amount >= limit)


_OF_DATA_SETS = ("evolution", "sets", "scoring", "lengths", "rewards", "judging", "diversity", "contamination")


class Study(StrictModel):
    """A study. Its grid is method x evolver x round x teacher x decoding x selection x student x benchmark.

    Decodings and students may have several seeds. `only` and `except` (`excluded`) say what of the grid is taken.
    """

    evolgrid: Literal[1] = Field(default=1, description="version of the study file's format")
    study: Name
    plugins: Annotated[list[str], BeforeValidator(as_list)] = Field(
        default=[],
        json_schema_extra=scalar_or_list_schema,
        description="placement: Python files (relative to the study file) and installed packages that add to evolgrid",
    )
    description: str = ""
    seed: int = 0
    seeds: list[Seeds] = Field(default=[], description="not needed if students are examined untuned only")
    models: dict[Name, Model] = Field(min_length=1)
    evolution: Annotated[list[Evolution], BeforeValidator(as_list)] = Field(
        default=[], json_schema_extra=scalar_or_list_schema
    )
    responses: Responses = Responses()
    prompts: dict[str, str] = Field(
        default={},
        description="name of a prompt to the file that replaces it (relative to the study file); 'answer: bare' asks "
        "teachers the instruction itself",
    )
    scoring: Annotated[list[Scoring], BeforeValidator(none_or_list)] = Field(
        default=[], description="one scorer or several", json_schema_extra=none_scalar_or_list_schema
    )
    lengths: Lengths | None = None
    diversity: Diversity | None = None
    contamination: Contamination | None = None
    rewards: list[ClassifierName] = Field(default=[], description="reward models that score every pair")
    instruction_reward: ClassifierName | None = Field(
        default=None,
        description="reward model that scores evolved instructions as answers to the evolvers' prompts",
    )
    car: Car = Car()
    judging: Judging | None = None
    selection: list[Selection] = Field(default=[Selection(name="all")], min_length=1)
    sets: list[UnitedSet] = Field(default=[], description="data sets that are made of the rows of several others")
    recipes: dict[Name, Recipe] = Field(default={})
    students: list[Student] = Field(default=[])
    benchmarks: list[Benchmark] = Field(default=[])
    only: Annotated[list[Pattern], Field(min_length=1)] | None = Field(
        default=None, description="take only what matches any of these patterns of coordinates (docs/grid.md)"
    )
    excluded: list[Pattern] = Field(
        default=[], alias="except", description="leave out what matches any of these patterns of coordinates"
    )
    performance: Annotated[str, AfterValidator(checked_formula)] | None = Field(
        default=None,
        description="what 'predict' takes as the performance of a student: a formula over benchmarks, such as "
        f"'{EXAMPLE}'; NAME.METRIC is another score of a benchmark than its first. Default: the mean of AlpacaEval's "
        "length-controlled win rate and Arena-Hard if the study has both, or else the mean of all benchmarks",
    )
    search: Search | None = Field(
        default=None,
        description="placement: trains only the cells that are needed to find the best arm; without it, all of them",
    )
    budget: Budget | None = None
    trackers: Trackers = Field(
        default=[], description="placement: where losses, scores and costs are logged, also by name alone"
    )
    published: str | None = Field(
        default=None,
        description="CSV file (relative to the study file) of published numbers for comparison, with the columns "
        "'value', 'source' and any columns of results.csv that identify the result",
    )
    layouts: list[Layout] = Field(
        default=[], description="presentation: tables and figures of the report, beside those that every report has"
    )
    claims: list[Claim] = Field(
        default=[], description="presentation: claims that the report tests on our numbers and on the published ones"
    )

    @property
    def is_sparse(self) -> bool:
        """Whether `only` or `except` may leave out a part of the grid."""
        return self.only is not None or bool(self.excluded)

    @model_validator(mode="after")
    def _something_to_do(self) -> Study:
        if self.seeds and not (self.responses.teachers or self.responses.given):
            raise ValueError("missing answers: give 'teachers', 'given' answers or both under 'responses'")
        unused = [name for name in _OF_DATA_SETS if getattr(self, name)]
        if not self.seeds and (unused or self.responses.teachers or self.responses.given):
            raise ValueError(f"missing key 'seeds': '{[*unused, 'responses'][0]}' needs instructions to start from")
        if not self.seeds and not self.students:
            raise ValueError("nothing to do: give 'seeds' with 'responses', or 'students' with 'benchmarks'")
        return self

    @model_validator(mode="after")
    def _seeds_of_finals(self) -> Study:
        """Give the students without `seeds` those of the search."""
        if self.search and self.search.seeds:
            given = self.students
            seeded = [
                one if "seeds" in one.model_fields_set else one.model_copy(update={"seeds": self.search.seeds})
                for one in given
            ]
            object.__setattr__(self, "students", seeded)
        return self

    @model_validator(mode="before")
    @classmethod
    def _papers_recipes(cls, value: Any) -> Any:
        return add_published_recipes(value)

    @property
    def bases(self) -> tuple[str, ...]:
        """The names of the students' base models, each once."""
        return tuple(dict.fromkeys(student.model for student in self.students))

    def scoring_of(self, selection: Selection) -> Scoring | None:
        """Return the scorer whose scores a selection reads; None if it reads none, or there is no such scorer."""
        found = self.scoring if selection.scorer is None else [s for s in self.scoring if s.label == selection.scorer]
        counted = "lengths" in selection.needs and (self.lengths is None or selection.scorer is not None)
        return found[0] if found and (counted or "score" in selection.needs) else None

    def selects_by_own_base(self, selection: Selection) -> bool:
        """Return whether a selection differs between base models, because it reads scores by the students' own."""
        scoring = self.scoring_of(selection)
        return scoring is not None and scoring.scorer == OWN_BASE
