"""Which operator a row-wise step runs."""

from __future__ import annotations

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
from pipelines.study.graph.params import (
    BestOfNParams,
    EliminateParams,
    EvolveParams,
    JudgeParams,
    RespondParams,
    RewardParams,
    SampleCandidatesParams,
    ScoreParams,
)
from pipelines.study.graph.step import Step


def make_operator(step: Step, client: Client, seed: int, method: str = "") -> Operator:
    """What a row-wise step does with a row; `method` is the optimized one, for a step that evolves with it."""
    job = step.params
    if isinstance(job, EvolveParams):
        if job.parser and not method:
            raise ValueError(f"{step.label} evolves with an optimized method, and was given none")
        return Evolve(client, job, job.sampling.sampling, seed, method)
    if isinstance(job, EliminateParams):
        return Eliminate(client, job.elimination)
    if isinstance(job, RespondParams):
        return Respond(client, job.sampling.sampling, seed)
    if isinstance(job, SampleCandidatesParams):
        return SampleCandidates(client, job.sampling.sampling, job.candidates, seed)
    if isinstance(job, BestOfNParams):
        return ChooseCandidate(client, job.rule)
    if isinstance(job, RewardParams):
        return Reward(client)
    if isinstance(job, JudgeParams):
        return (
            InstructionReward(client, method)
            if job.metric == "reward"
            else JudgeInstruction(client, job.metric, job.max_tokens)
        )
    if isinstance(job, ScoreParams):
        return Score(client, job.options)
    raise TypeError(f"{step.kind} is not a row-wise step")
