"""The table of operators: which one a row-wise step runs, by the class of the step's parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from actors.engine import Client
from pipelines.operators.evolve.elimination import Eliminate
from pipelines.operators.evolve.evol_instruct import Evolve
from pipelines.operators.respond.answer import Respond
from pipelines.operators.respond.best_of_n import ChooseCandidate, SampleCandidates
from pipelines.operators.score.instruction_judge import JudgeInstruction
from pipelines.operators.score.instruction_reward import InstructionReward
from pipelines.operators.score.perplexity import Score
from pipelines.operators.score.reward import Reward
from pipelines.rows.operator import Operator
from pipelines.study.graph.steps.params.answers import BestOfNParams, RespondParams, SampleCandidatesParams
from pipelines.study.graph.steps.params.instructions import EliminateParams, EvolveParams
from pipelines.study.graph.steps.params.measures import JudgeParams, RewardParams, ScoreParams
from pipelines.study.graph.steps.step import Step, StepParams


@dataclass(frozen=True)
class OperatorInputs:
    """What an operator is built from.

    Attributes:
        step: The step that the operator belongs to.
        client: The client of the step's model.
        seed: The study's seed.
        method: The optimized method, for a step that evolves with one; otherwise empty.
    """

    step: Step
    client: Client
    seed: int
    method: str = ""


def make_operator(inputs: OperatorInputs) -> Operator[Any, Any]:
    """Return the operator that a row-wise step applies to each row.

    Raises:
        KeyError: The step is not row-wise, or its operator needs more than these inputs.
    """
    params = inputs.step.params
    return OPERATORS[type(params)](params, inputs)


def _evolve(params: EvolveParams, inputs: OperatorInputs) -> Evolve:
    if params.parser and not inputs.method:
        raise ValueError(f"{inputs.step.label} evolves with an optimized method, but no method was passed")
    return Evolve(inputs.client, params, params.sampling.sampling, inputs.seed, inputs.method, inputs.step.catalog)


def _eliminate(params: EliminateParams, inputs: OperatorInputs) -> Eliminate:
    return Eliminate(inputs.client, params.elimination, inputs.step.catalog)


def _respond(params: RespondParams, inputs: OperatorInputs) -> Respond:
    return Respond(inputs.client, params.sampling.sampling, params.seed, params.system, inputs.step.catalog)


def _sample_candidates(params: SampleCandidatesParams, inputs: OperatorInputs) -> SampleCandidates:
    return SampleCandidates(
        inputs.client, params.sampling.sampling, params.candidates, params.seed, params.system, inputs.step.catalog
    )


def _choose_candidate(params: BestOfNParams, inputs: OperatorInputs) -> ChooseCandidate:
    return ChooseCandidate(inputs.client, params.rule)


def _score(params: ScoreParams, inputs: OperatorInputs) -> Score:
    return Score(inputs.client, params.options)


def _reward(params: RewardParams, inputs: OperatorInputs) -> Reward:
    return Reward(inputs.client)


def _judge(params: JudgeParams, inputs: OperatorInputs) -> InstructionReward | JudgeInstruction:
    if params.metric == "reward":
        return InstructionReward(inputs.client, inputs.method, inputs.step.catalog)
    catalog = inputs.step.catalog
    return JudgeInstruction(inputs.client, params.metric, params.max_tokens, params.system, params.share, catalog)


OperatorFactory = Callable[[Any, OperatorInputs], Operator[Any, Any]]
"""Creates the operator of a step from the step's parameters, whose class is the factory's key in `OPERATORS`."""

OPERATORS: dict[type[StepParams], OperatorFactory] = {
    EvolveParams: _evolve,
    EliminateParams: _eliminate,
    RespondParams: _respond,
    SampleCandidatesParams: _sample_candidates,
    BestOfNParams: _choose_candidate,
    ScoreParams: _score,
    RewardParams: _reward,
    JudgeParams: _judge,
}
