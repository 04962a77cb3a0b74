"""The steps in which a judge is asked about the instructions of a data set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.evolve.methods import AUTO
from pipelines.study.asked import digests
from pipelines.study.evolution_steps import Add, Identify
from pipelines.study.judging import PROMPTS, JudgeMetric, Judging
from pipelines.study.steps import EvolveJob, JudgeJob, Step

Judged = tuple[tuple[JudgeMetric, Step], ...]


class JudgingSteps:
    """Adds a study's judgements to its grid, one step for each metric. `models` are the models' identities by name."""

    def __init__(self, block: Judging | None, models: Mapping[str, Any], identify: Identify, add: Add) -> None:
        self.block, self.models, self.identify, self.add = block, models, identify, add

    def of(self, instructions: Step) -> Judged:
        """The steps by metric; keywords only where evolutions list their methods."""
        return tuple(self._found(instructions, self.block)) if self.block else ()

    def _found(self, instructions: Step, block: Judging) -> Iterator[tuple[JudgeMetric, Step]]:
        for metric in block.metrics:
            judged = trajectories(instructions) if metric == "keywords" else instructions
            if judged is not None:
                yield metric, self._judge(judged, JudgeJob(block.judge, metric, block.max_tokens))

    def _judge(self, instructions: Step, job: JudgeJob) -> Step:
        identity = self.identify(
            "judge",
            job.metric,
            payload=lambda: {
                "metric": job.metric,
                "max_tokens": job.max_tokens,
                "prompts": digests((PROMPTS[job.metric],)),
                "model": self.models[job.model],
            },
        )
        return self.add(identity, f"{job.metric} of {instructions.subject}", job, instructions)


def trajectories(instructions: Step) -> Step | None:
    """The step whose rows have the evolver's whole replies, if these list methods before a plan."""
    step = instructions.inputs[0] if instructions.kind == "eliminate" else instructions
    return step if isinstance(step.job, EvolveJob) and step.job.methods == (AUTO,) else None
