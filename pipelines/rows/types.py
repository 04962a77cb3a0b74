"""The row types of all steps. Every row has its own id, its parent's and its seed's."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self, TypedDict

ELIMINATED = "eliminated:"
KEPT = "kept:"
RETRIED = "retried:"


class RowLineage(TypedDict):
    """The fields of `Row`, to be unpacked into a new row."""

    id: str
    parent_id: str
    seed_id: str
    index: int


@dataclass(frozen=True)
class Row:
    """The fields of all rows. `index` is the seed's row number in its file, from 0; ids are 32 hex digits."""

    id: str
    parent_id: str
    seed_id: str
    index: int

    def lineage(self, new_id: str) -> RowLineage:
        """Return what a row that is made of this one, with the id `new_id`, carries."""
        return {"id": new_id, "parent_id": self.id, "seed_id": self.seed_id, "index": self.index}


@dataclass(frozen=True)
class InstructionRow(Row):
    """A seed (round 0) or an evolved instruction. `raw` is the reply that it was parsed from, `outcome` how.

    A row may be the end of a conversation: `system` is its system text, and `history` the turns before the instruction,
    alternately the user's and the assistant's. `turn` ("last" or "first") says which user turn is evolved, `before` is
    its text before the evolution. `thoughts` are those of the evolver, which are not part of `raw`. `answer` is the
    evolver's answer to its evolved instruction, if the study has an elimination. `probabilities` are those of the
    reply's first tokens under the evolver, if the study keeps them. If the outcome is "eliminated:<reason>", the
    evolution failed: the row has the text of the round before, is passed to the next round, and is not in the data set
    of its own round; after "kept:<reason>" it is. `attempts` is how often the evolver was asked; "retried:<reasons>"
    says why the replies before the last one failed.
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
    system: str = ""
    history: list[str] = field(default_factory=list[str])
    thoughts: str = ""
    turn: str = "last"
    attempts: int = 1

    @property
    def kept(self) -> bool:
        """Whether the evolution failed and the row stays in the data set of its round, as it was before."""
        return self.outcome.startswith(KEPT)

    @property
    def eliminated(self) -> bool:
        """Whether the evolution failed and was reverted."""
        return self.outcome.startswith(ELIMINATED)

    @property
    def evolves_history(self) -> bool:
        """Whether the turn that is evolved is in the history. Without a history, the first turn is the instruction."""
        return self.turn == "first" and bool(self.history)

    @property
    def evolved(self) -> str:
        """The text of the turn that is evolved, without the input: the instruction, or the first turn."""
        return self.history[0] if self.evolves_history else self.instruction

    def with_evolved(self, text: str, **changes: Any) -> Self:
        """Return the row with another text of the turn that is evolved, and with other values of other fields."""
        if self.evolves_history:
            return replace(self, history=[text, *self.history[1:]], **changes)
        return replace(self, instruction=text, **changes)


@dataclass(frozen=True)
class FormatRow(Row):
    """AutoIF: an instruction on the format of an answer, from a file (`raw` is empty) or parsed from the reply `raw`.

    It is not derived from a seed: `seed_id` is its own id, `index` its number among all.
    """

    instruction: str
    raw: str
    outcome: str


@dataclass(frozen=True)
class VerifiedRow(Row):
    """AutoIF: an instruction whose functions passed cross-validation, each with its accuracy on the remaining cases.

    `cases` are JSON lists of a response and its label. `raw` are the replies that functions and cases were parsed from.
    `translations` say what the first functions check, and `relations` how the instruction relates to that. They come
    from `translation_raw`, and are empty without back-translation. `outcomes` say how all these replies were parsed.
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

    `instruction` and `input` combine the two for training.
    """

    constraint: str
    functions: list[str]


@dataclass(frozen=True)
class MethodRow(Row):
    """A measured method of evolution: one of the candidates of `step`, or (candidate 0) the initial method.

    `feedback` and `raw` are the optimizer's replies that it was made from, `outcome` says how they were parsed. The
    counts are the failed ones of `measured` evolutions on the dev set, by kind of failure. `score` is the paper's
    metric. `parent_id` is the method that it improves, `seed_id` the initial one, `index` its number among all.
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
    """A teacher's answer. `finish_reason` "length" marks a truncated one.

    `refused` marks a refusal (detected by its opening words). `system` and `history` are those of the instruction.
    `thoughts` are the teacher's, which are not part of `response`.
    """

    instruction: str
    input: str
    response: str
    finish_reason: str
    tokens_in: int
    tokens_out: int
    refused: bool = False
    system: str = ""
    history: list[str] = field(default_factory=list[str])
    thoughts: str = ""


@dataclass(frozen=True)
class CandidatesRow(Row):
    """Several answers of a teacher to one instruction, in the order of their seeds. An answer can be empty.

    `thoughts` has one entry for each candidate.
    """

    instruction: str
    input: str
    candidates: list[str]
    finish_reasons: list[str]
    tokens_in: int
    tokens_out: list[int]
    system: str = ""
    history: list[str] = field(default_factory=list[str])
    thoughts: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, kw_only=True)
class ChosenRow(ResponseRow):
    """The candidate that a reward model chose, by number, and the `rewards` of all that were `judged`, by number."""

    chosen: int
    judged: list[int]
    rewards: list[float]


@dataclass(frozen=True, kw_only=True)
class CheckedRow(ResponseRow):
    """AutoIF: an answer that passed the checks.

    `pass_rate` is the share of functions that accept it, `judged` the judge's mean score (0 to 10). `raw` are the
    judge's replies, `outcomes` say how they were parsed.
    """

    pass_rate: float
    judged: float
    raw: list[str]
    outcomes: list[str]


@dataclass(frozen=True)
class ScoreRow(Row):
    """Mean cross-entropies in nats per token, and the scores derived from them (2412.11231, eq. 1 and 2).

    `loss_conditional` is the loss of the answer given the instruction (used by CAR, 2411.07133). `ifd` is the ratio of
    losses, `ifd_ppl` that of perplexities (2402.00530). `answer_probabilities` are those of the answer's first tokens
    given the instruction. `mean_rank` is the mean rank of the answer's tokens given the instruction, each at most 100,
    and `rsr` its ratio to `loss_conditional` (2601.14249); both are 0 unless the study asks for ranks. Tokens are
    counted in the scorer's tokenizer, without BOS and template: those of the
    instruction alone, of the instruction with its input, and of the answer.
    """

    tokens_instruction: int
    tokens_with_input: int
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
    mean_rank: float = 0.0
    rsr: float = 0.0
    answer_probabilities: list[float] = field(default_factory=list[float])


@dataclass(frozen=True)
class RewardRow(Row):
    """A reward model's score of a pair. `tokens` is the length of the conversation that it read."""

    reward: float
    tokens: int


@dataclass(frozen=True)
class LengthsRow(Row):
    """The numbers of tokens of a pair's texts in the tokenizer of the study's `lengths`, without special tokens."""

    tokens_instruction: int
    tokens_with_input: int
    tokens_answer: int


@dataclass(frozen=True)
class DiversityRow(Row):
    """The distance of an instruction (`parent_id`) to the others of its set (2412.11231, minimum neighbor distance).

    `distance` is the squared L2 distance between its unit embedding and the nearest other one, `nearest` the id of that
    row. `repeats` is the number of other rows nearer than 0.05 (at most 499), `vector` the embedding as float32.
    """

    distance: float
    nearest: str
    repeats: int
    vector: bytes


@dataclass(frozen=True)
class ContaminationRow(Row):
    """The overlaps of an instruction (`parent_id`) with reference texts.

    The lists have one entry for each source and measure with an overlap. `tasks` are numbers of tasks in their sources.
    For n-grams (2406.00770), `values` are the numbers of shared ones, and `shared` has one of them. For "near",
    `values`
    are cosines of embeddings, and `shared` has the text of the task.
    """

    sources: list[str]
    measures: list[str]
    tasks: list[int]
    values: list[float]
    shared: list[str]


@dataclass(frozen=True)
class JudgementRow(Row):
    """A judge's result for an instruction: the label of a level or kind, keywords, or a score.

    `raw` are its replies (keywords: one for each line of the list of methods), `outcomes` say how they were parsed, and
    `thoughts` are the judge's before each reply.
    """

    metric: str
    labels: list[str]
    scores: list[float]
    raw: list[str]
    outcomes: list[str]
    thoughts: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class PairRow(Row):
    """An instruction and its answer, selected for training. `score` is its value of the metric that selected it.

    `finish_reason` is that of the answer.
    """

    instruction: str
    input: str
    response: str
    score: float
    system: str = ""
    history: list[str] = field(default_factory=list[str])
    thoughts: str = ""
    finish_reason: str = "stop"


@dataclass(frozen=True)
class AnswerRow(Row):
    """A model's answer to one item of a benchmark, with its grade.

    `task` groups items (a subject, a category, a kind of task). `item` is the benchmark's id of the item. `instruction`
    is the last user turn, `messages` the whole prompt (JSON: role and text of every turn). `answers` are the answers to
    all turns, `response` the last one. Each measure has a name, a value and a weight; a benchmark's score is the
    weighted mean over its rows. `words` say how the answer was parsed, `raw` are a judge's replies, `other` is the
    answer that this one was compared with. `thoughts` are the model's before each of `answers`, `judge_thoughts` the
    judge's before each of `raw`; none of them is graded.
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
    thoughts: list[str] = field(default_factory=list[str])
    judge_thoughts: list[str] = field(default_factory=list[str])

    def measure(self, name: str) -> float | None:
        """Return the value of a measure; None if the answer does not have it."""
        return self.values[self.measures.index(name)] if name in self.measures else None


@dataclass(frozen=True)
class Rejection(Row):
    """A row that a step did not pass on: "rejected" because of its content, or "failed" because of the engine."""

    status: str
    reason: str
    detail: str
    raw: str
