"""The kinds of steps, and the type of the rows that each makes."""

from __future__ import annotations

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
    LengthsRow,
    MethodRow,
    PairedRow,
    PairRow,
    ResponseRow,
    RewardRow,
    Row,
    ScoreRow,
    VerifiedRow,
)

Kind = str
"""The kind of a step: "train", or one of ROW_TYPES, to which plug-ins add theirs."""

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
    "lengths": LengthsRow,
    "reward": RewardRow,
    "judge": JudgementRow,
    "diversity": DiversityRow,
    "contamination": ContaminationRow,
    "union_instructions": InstructionRow,
    "union": ResponseRow,
    "select": PairRow,
    "evaluate": AnswerRow,
    "verdict": AnswerRow,
}
