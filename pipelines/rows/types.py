"""The rows that flow, and their Arrow schemas. Every row has an id, its parent's and its seed's."""

from __future__ import annotations

from dataclasses import dataclass, field

ELIMINATED = "eliminated:"


@dataclass(frozen=True)
class Row:
    """What all rows carry. `index` is the seed's 0-based row number in its file; ids are 32 hex digits."""

    id: str
    parent_id: str
    seed_id: str
    index: int


@dataclass(frozen=True)
class InstructionRow(Row):
    """A seed (round 0) or an evolved instruction, with the reply it was parsed from and the parser's word for it.

    `before` is the instruction that was evolved, `answer` what the evolver answers to its own evolution (only where
    the study eliminates), `probabilities` those of the reply's first tokens under the evolver itself, if the study
    keeps them. A row whose outcome is "eliminated:<reason>" has the un-evolved instruction: it goes on to the next
    round, and is not a member of its own round's data set.
    """

    round: int
    method: str
    instruction: str
    input: str
    reference: str
    raw: str
    outcome: str
    tokens_in: int
    tokens_out: int
    before: str = ""
    answer: str = ""
    probabilities: list[float] = field(default_factory=list[float])

    @property
    def eliminated(self) -> bool:
        """Whether the evolution failed and was undone."""
        return self.outcome.startswith(ELIMINATED)


@dataclass(frozen=True)
class FormatRow(Row):
    """AutoIF: an instruction on the format of an answer, given (`raw` is empty) or read from the reply `raw`.

    It descends from no seed: `seed_id` is its own id, `index` its number among all.
    """

    instruction: str
    raw: str
    outcome: str


@dataclass(frozen=True)
class VerifiedRow(Row):
    """AutoIF: an instruction whose functions passed cross-validation, each with its accuracy on the surviving cases.

    `cases` are JSON lists of a response and its label; `raw` are the replies that functions and cases were read from.
    `translations` say what the first functions check, `relations` how the instruction relates to that, both read from
    `translation_raw`; empty where nothing is back-translated. `outcomes` say how all these replies were read.
    """

    instruction: str
    functions: list[str]
    accuracies: list[float]
    cases: list[str]
    raw: list[str]
    outcomes: list[str]
    translations: list[str]
    relations: list[str]
    translation_raw: str


@dataclass(frozen=True, kw_only=True)
class PairedRow(InstructionRow):
    """AutoIF: a query (`before`, a seed) to be answered under `constraint`, which `functions` check.

    `instruction` and `input` are how the two are put together for training.
    """

    constraint: str
    functions: list[str]


@dataclass(frozen=True)
class MethodRow(Row):
    """A method of evolution, measured: one of `step`'s candidates, or (candidate 0) the method that it began with.

    `feedback` and `raw` are the optimizer's replies that it came from, `outcome` is the parser's word. The counts are
    evolutions on the dev set by how they failed, of `measured` ones; `score` is the authors' measure. `parent_id` is
    the method that it improves upon, `seed_id` the first one, `index` its number among all.
    """

    step: int
    candidate: int
    method: str
    feedback: str
    raw: str
    outcome: str
    measured: int
    stagnant: int
    unqualified: int
    lost_information: int
    empty: int
    unreadable: int
    failure_rate: float
    score: float
    chosen: bool
    best: bool


@dataclass(frozen=True)
class ResponseRow(Row):
    """A teacher's answer. `finish_reason` "length" marks a truncated one, `refused` one that opens by declining."""

    instruction: str
    input: str
    response: str
    finish_reason: str
    tokens_in: int
    tokens_out: int
    refused: bool = False


@dataclass(frozen=True)
class CandidatesRow(Row):
    """Several answers of a teacher to one instruction, in the order of their seeds; an empty one is an empty text."""

    instruction: str
    input: str
    candidates: list[str]
    finish_reasons: list[str]
    tokens_in: int
    tokens_out: list[int]


@dataclass(frozen=True, kw_only=True)
class ChosenRow(ResponseRow):
    """The candidate that a reward model picked: its number, and the `rewards` of all that were `judged`, by number."""

    chosen: int
    judged: list[int]
    rewards: list[float]


@dataclass(frozen=True, kw_only=True)
class CheckedRow(ResponseRow):
    """AutoIF: an answer that passed: the share of functions that accept it, and the judge's mean score (0 to 10).

    `raw` are the judge's replies, `outcomes` how they were read.
    """

    pass_rate: float
    judged: float
    raw: list[str]
    outcomes: list[str]


@dataclass(frozen=True)
class ScoreRow(Row):
    """Mean cross-entropies in nats per token, and what follows from them (2412.11231, eq. 1 and 2).

    `loss_conditional` is the answer's given the instruction (the loss of 2411.07133's CAR), `ifd` the ratio of losses,
    `ifd_ppl` that of perplexities (2402.00530), `answer_probabilities` those of the answer's first tokens given the
    instruction. Tokens are counted without BOS and chat template.
    """

    tokens_instruction: int
    tokens_answer: int
    loss_instruction: float
    loss_conditional: float
    loss_answer: float
    ppl_instruction: float
    ppl_conditional: float
    ppl_answer: float
    ifd: float
    ifd_ppl: float
    ic_ifd: float
    answer_probabilities: list[float] = field(default_factory=list[float])


@dataclass(frozen=True)
class RewardRow(Row):
    """A reward model's number for a pair; `tokens` count the conversation that it read."""

    reward: float
    tokens: int


@dataclass(frozen=True)
class DiversityRow(Row):
    """An instruction among those of its set (2412.11231, minimum neighbor distance); `parent_id` is the instruction.

    `distance` is the squared L2 distance of its unit embedding to the nearest other one's, `nearest` that row's id,
    `repeats` how many other rows are nearer than 0.05 (499 at most), `vector` the embedding as float32.
    """

    distance: float
    nearest: str
    repeats: int
    vector: bytes


@dataclass(frozen=True)
class ContaminationRow(Row):
    """What an instruction (`parent_id`) overlaps with: the lists are empty, or have one entry for every source and
    measure by which it does.

    `tasks` are numbers of tasks in their sources. By n-grams (2406.00770) `values` count those that are shared, of
    which `shared` has one; by "near" they are cosines of embeddings, and `shared` has the task's text.
    """

    sources: list[str]
    measures: list[str]
    tasks: list[int]
    values: list[float]
    shared: list[str]


@dataclass(frozen=True)
class JudgementRow(Row):
    """A judge's word on an instruction: the label of a level or a kind, or keywords; or the score that it gives.

    `raw` are its replies (keywords: one for each line of the list of methods), `outcomes` how they were read.
    """

    metric: str
    labels: list[str]
    scores: list[float]
    raw: list[str]
    outcomes: list[str]


@dataclass(frozen=True)
class PairRow(Row):
    """An instruction and its answer, chosen for training. `score` is the metric that chose it."""

    instruction: str
    input: str
    response: str
    score: float


@dataclass(frozen=True)
class AnswerRow(Row):
    """A model's answer to one item of a benchmark, and what was found out about it.

    `task` groups items (a subject, a category, a kind of task), `item` is the benchmark's own id. `instruction` is the
    last turn that was asked, `messages` the whole prompt (JSON: role and text of every turn), `answers` has the answers
    to all turns, `response` the last. Of each measure there are a name, a value and a weight: a benchmark's number is
    the weighted mean over its rows. `words` say how the answer was read, `raw` are a judge's replies, `other` is the
    answer that this one was compared with.
    """

    task: str
    level: int
    instruction: str
    reference: str
    response: str
    correct: bool
    item: str = ""
    messages: str = ""
    answers: list[str] = field(default_factory=list[str])
    finish_reason: str = "stop"
    measures: list[str] = field(default_factory=list[str])
    values: list[float] = field(default_factory=list[float])
    weights: list[float] = field(default_factory=list[float])
    words: list[str] = field(default_factory=list[str])
    raw: list[str] = field(default_factory=list[str])
    other: str = ""

    def measure(self, name: str) -> float | None:
        """The value of a measure; None if the answer has none of this name."""
        return self.values[self.measures.index(name)] if name in self.measures else None


@dataclass(frozen=True)
class Rejection(Row):
    """A row that a step did not pass on. `status` is "rejected" (its content) or "failed" (the engine)."""

    status: str
    reason: str
    detail: str
    raw: str


ROW_TYPES: dict[str, type[Row]] = {
    "seeds": InstructionRow,
    "optimize": MethodRow,
    "augment": FormatRow,
    "verify": VerifiedRow,
    "pair": PairedRow,
    "evolve": InstructionRow,
    "eliminate": InstructionRow,
    "respond": ResponseRow,
    "draw": CandidatesRow,
    "choose": ChosenRow,
    "check": CheckedRow,
    "score": ScoreRow,
    "reward": RewardRow,
    "judge": JudgementRow,
    "diversity": DiversityRow,
    "contamination": ContaminationRow,
    "select": PairRow,
    "evaluate": AnswerRow,
    "verdict": AnswerRow,
}
