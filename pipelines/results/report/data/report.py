"""The report's content as plain data, which `collect` reads from the store and `page` renders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pipelines.operators.select.measurements import ReportedMetric
from pipelines.results.report.data.instructions import SetDiversity, SetOverlap, SetSelection
from pipelines.results.report.data.presentation import MetricCorrelation, Presentation
from pipelines.results.report.data.rewards import AnswerFlags, SetCar, SetReward
from pipelines.results.report.data.scores import SetDistribution, SetJudgement, SetProbabilities
from pipelines.results.report.data.search import SearchSummary
from pipelines.results.report.data.seeds import Runs
from pipelines.results.report.data.set_key import SetKey
from pipelines.results.report.data.task_scores import LevelMean
from pipelines.study.inputs.published import Published

ACCURACY = "accuracy"


@dataclass(frozen=True, slots=True)
class Result:
    """One number of a benchmark for one student. `value`, `low` and `high` (95 % bootstrap interval) are percentages.

    An untuned base model has round -1 and no evolver or teacher (empty strings). `answer_seed` and `seed` are those of
    the teacher's sampled answers and of the training; None where there is only one, and in a mean over several `runs`,
    whose standard deviation is `spread` and whose interval is over seeds and tasks.
    """

    benchmark: str
    metric: str
    student: str
    recipe: str
    seeds: str
    evolver: str
    round: int
    teacher: str
    decoding: str
    selection: str
    rows: int
    value: float
    low: float
    high: float
    by_level: tuple[LevelMean, ...]
    answer_seed: int | None = None
    seed: int | None = None
    runs: int = 1
    spread: float | None = None

    @property
    def measure(self) -> str:
        """The benchmark's name, and the metric's unless that is the accuracy."""
        return self.benchmark if self.metric == ACCURACY else f"{self.benchmark} {self.metric}"

    def without_numbers(self) -> Result:
        """Return the result without its numbers and its seeds: what the runs of one cell have in common."""
        return replace(self, answer_seed=None, seed=None, rows=0, value=0.0, low=0.0, high=0.0, by_level=())


@dataclass(frozen=True, slots=True)
class SetScore:
    """Means over one set of (instruction, response) pairs. `means` has the known means by the metrics' columns.

    `valid` is the percentage of evolutions that the closed world can verify (None for other data).
    """

    set: SetKey
    rows: int
    skipped: int
    means: Mapping[str, float]
    words: float
    correct: float | None
    valid: float | None


@dataclass(frozen=True, slots=True)
class RoundOutcome:
    """An outcome of `rows` of a round's input rows; `rate` is their percentage.

    `outcome`: "evolved", "kept:<reason>" (un-evolved), "eliminated:<reason>" (un-evolved and only passed
    on to the next round), "rejected:<reason>" or "failed:<reason>".
    """

    seeds: str
    evolver: str
    round: int
    outcome: str
    rows: int
    rate: float


@dataclass(frozen=True, slots=True)
class ReplyOutcome:
    """A parsing outcome of `rows` replies of a model in one role; `rate` is their percentage.

    `outcome`: "accepted", "repaired:<rule>", "flagged:<sign>", "rejected:<reason>" or "failed:<reason>"; an
    evolver's may be "kept:<reason>" or begin with "retried:<reasons>", and a judge's may be "eliminated:<reason>".
    """

    model: str
    role: str
    outcome: str
    rows: int
    rate: float


@dataclass(frozen=True, slots=True)
class MethodResult:
    """One method that an optimization tried; candidate 0 is the one that the step started with.

    `failure_rate` is a percentage of the `measured` evolutions, or None if the optimizer's reply had no method.
    `outcome` is the parser's outcome for that reply.
    """

    seeds: str
    evolver: str
    optimizer: str
    step: int
    candidate: int
    outcome: str
    failure_rate: float | None
    measured: int
    failures: tuple[tuple[str, int], ...]
    score: float | None
    chosen: bool
    best: bool
    method: str
    feedback: str
    reply: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One round of a seed's evolution. Round 0 is the seed itself; `outcome` is the parser's outcome."""

    round: int
    method: str
    instruction: str
    outcome: str
    answers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Example:
    """A seed's evolution by one evolver; answers are (teacher, text)."""

    seed_id: str
    seeds: str
    evolver: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class StepAccount:
    """The row counts of a step (in = out + rejected + failed) and its time in seconds.

    `cached` steps ran in an earlier run; `reasons` counts rejections and failures by reason. `notes` counts rows
    of seeds by what they had that is not used.
    """

    key: str
    kind: str
    label: str
    rows_in: int
    rows_out: int
    rejected: int
    failed: int
    reasons: tuple[tuple[str, int], ...]
    planned_seconds: float
    actual_seconds: float
    cached: bool
    notes: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class RetryCounts:
    """The last run's retries at one level (requests, replicas, steps or trainings): the number and the limit."""

    level: str
    of: str
    spent: int
    allowed: str


@dataclass(frozen=True, slots=True)
class LossCurve:
    """Training loss of one student by optimizer step, and the data set it was trained on (as in `Result`).

    The speed and the peak (floating-point operations per second, and the source of that number) are those of the
    training process, which `together` students shared.
    """

    label: str
    student: str
    steps: tuple[int, ...]
    losses: tuple[float, ...]
    evolver: str = ""
    round: int = 0
    teacher: str = ""
    tokens_per_second: float = 0.0
    mfu: float = 0.0
    peak_flops: float = 0.0
    peak: str = ""
    together: int = 1


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything on the page. `task_scores` has the points of the tasks of each result, by run.

    `results` are means over seeds, and `runs` the results of all runs; empty if no cell has several seeds.
    `metrics` are those of data sets, in the order of their columns.
    """

    study: str
    description: str
    created: str
    versions: tuple[tuple[str, str], ...]
    wall_seconds: float
    peak_memory_gib: float | None
    model_sizes: tuple[tuple[str, int], ...]
    results: tuple[Result, ...]
    sets: tuple[SetScore, ...]
    examples: tuple[Example, ...]
    steps: tuple[StepAccount, ...]
    losses: tuple[LossCurve, ...]
    rounds: tuple[RoundOutcome, ...] = ()
    replies: tuple[ReplyOutcome, ...] = ()
    methods: tuple[MethodResult, ...] = ()
    rewards: tuple[SetReward, ...] = ()
    cars: tuple[SetCar, ...] = ()
    flags: tuple[AnswerFlags, ...] = ()
    diversities: tuple[SetDiversity, ...] = ()
    overlaps: tuple[SetOverlap, ...] = ()
    selections: tuple[SetSelection, ...] = ()
    judgements: tuple[SetJudgement, ...] = ()
    distributions: tuple[SetDistribution, ...] = ()
    probabilities: tuple[SetProbabilities, ...] = ()
    published: tuple[Published, ...] = ()
    task_scores: Mapping[Result, Runs] = field(default_factory=dict[Result, Runs])
    runs: tuple[Result, ...] = ()
    confidences: tuple[SetProbabilities, ...] = ()
    retries: tuple[RetryCounts, ...] = ()
    metrics: tuple[ReportedMetric, ...] = ()
    search: SearchSummary | None = None
    correlations: tuple[MetricCorrelation, ...] = ()
    presentation: Presentation = field(default_factory=Presentation)
