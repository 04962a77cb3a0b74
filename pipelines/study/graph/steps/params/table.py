"""The parameters of all kinds of steps."""

from __future__ import annotations

from pipelines.rows.kinds import Kind
from pipelines.study.graph.steps.params.answers import (
    BestOfNParams,
    CheckParams,
    GivenParams,
    RespondParams,
    SampleCandidatesParams,
    UnionInstructionsParams,
    UnionParams,
)
from pipelines.study.graph.steps.params.instructions import (
    AugmentParams,
    EliminateParams,
    EvolveParams,
    OptimizeParams,
    PairParams,
    SeedsParams,
    VerifyParams,
)
from pipelines.study.graph.steps.params.measures import (
    ContaminationParams,
    DiversityParams,
    JudgeParams,
    LengthsParams,
    RewardParams,
    ScoreParams,
)
from pipelines.study.graph.steps.params.students import EvaluateParams, SelectParams, TrainParams, VerdictParams
from pipelines.study.graph.steps.step import StepParams

STEP_PARAMS: dict[Kind, type[StepParams]] = {
    each.kind: each
    for each in (
        SeedsParams,
        GivenParams,
        OptimizeParams,
        AugmentParams,
        VerifyParams,
        PairParams,
        EvolveParams,
        EliminateParams,
        RespondParams,
        SampleCandidatesParams,
        BestOfNParams,
        CheckParams,
        ScoreParams,
        LengthsParams,
        RewardParams,
        JudgeParams,
        DiversityParams,
        ContaminationParams,
        UnionInstructionsParams,
        UnionParams,
        SelectParams,
        TrainParams,
        EvaluateParams,
        VerdictParams,
    )
}
