"""The kinds of steps, and the type of the rows that each makes."""

from __future__ import annotations

from typing import Literal

from pipelines.rows.types import (
    AnswerRow,
    CandidatesRow,
    CheckedRow,
    ChosenRow,
    ContaminationRow,
    DiversityRow,
    FormatRow,
    InstructionRow,
    JudgementRow,
    MethodRow,
    PairedRow,
    PairRow,
    ResponseRow,
    RewardRow,
    Row,
    ScoreRow,
    VerifiedRow,
)

Kind = Literal[
    "seeds",
    "given",
    "optimize",
    "augment",
    "verify",
    "pair",
    "evolve",
    "eliminate",
    "respond",
    "draw",
    "choose",
    "check",
    "score",
    "reward",
    "judge",
    "diversity",
    "contamination",
    "select",
    "train",
    "evaluate",
    "verdict",
]

# of a training there are no rows
ROW_TYPES: dict[str, type[Row]] = {
    "seeds": InstructionRow,
    "given": ResponseRow,
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
