"""Which operator a row-wise step runs."""

from __future__ import annotations

from actors.engine import Client
from pipelines.operators.evolve.elimination import Eliminate
from pipelines.operators.evolve.evol_instruct import Evolve
from pipelines.operators.respond.answer import Respond
from pipelines.operators.respond.best_of_n import Choose, Draw
from pipelines.operators.score.instruction_judge import Judge
from pipelines.operators.score.instruction_reward import InstructionReward
from pipelines.operators.score.perplexity import Score
from pipelines.operators.score.reward import Reward
from pipelines.rows.operator import Operator
from pipelines.study.graph.params import (
    ChooseJob,
    DrawJob,
    EliminateJob,
    EvolveJob,
    JudgeJob,
    RespondJob,
    RewardJob,
    ScoreJob,
)
from pipelines.study.graph.step import Step


def operator(step: Step, client: Client, seed: int, method: str = "") -> Operator:
    """What a row-wise step does with a row; `method` is the optimized one, for a step that evolves with it."""
    job = step.job
    if isinstance(job, EvolveJob):
        if job.parser and not method:
            raise ValueError(f"{step.label} evolves with an optimized method, and was given none")
        return Evolve(client, job, job.sampling.sampling, seed, method)
    if isinstance(job, EliminateJob):
        return Eliminate(client, job.elimination)
    if isinstance(job, RespondJob):
        return Respond(client, job.sampling.sampling, seed)
    if isinstance(job, DrawJob):
        return Draw(client, job.sampling.sampling, job.candidates, seed)
    if isinstance(job, ChooseJob):
        return Choose(client, job.pick)
    if isinstance(job, RewardJob):
        return Reward(client)
    if isinstance(job, JudgeJob):
        return (
            InstructionReward(client, method) if job.metric == "reward" else Judge(client, job.metric, job.max_tokens)
        )
    if isinstance(job, ScoreJob):
        return Score(client, job.options)
    raise TypeError(f"{step.kind} is not a row-wise step")
