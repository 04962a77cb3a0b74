"""The steps in which a judge is asked about the instructions of a data set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.study.graph.methods import AUTO, prompt_name
from pipelines.study.graph.params import EvolveJob, JudgeJob
from pipelines.study.graph.prompt_names import INSTRUCTION_JUDGING, digests
from pipelines.study.graph.step import Add, Identify, Step
from pipelines.study.spec.judging import JudgeMetric, Judging

Judged = tuple[tuple[JudgeMetric, Step], ...]


class JudgingSteps:
    """Adds a study's judgements to its grid, one step for each metric. `models` are the models' identities by name.

    `reward` is the reward model of evolved instructions, if the study has one.
    """

    def __init__(
        self, block: Judging | None, reward: str | None, models: Mapping[str, Any], identify: Identify, add: Add
    ) -> None:
        self.block, self.reward, self.models, self.identify, self.add = block, reward, models, identify, add

    def of(self, instructions: Step) -> Judged:
        """The steps by metric; keywords only where evolutions list their methods."""
        asked = tuple(self._found(instructions, self.block)) if self.block else ()
        evolved = evolution(instructions)
        if self.reward is None or evolved is None:
            return asked
        return *asked, ("reward", self._rewarded(instructions, evolved, self.reward))

    def _rewarded(self, instructions: Step, evolved: Step, model: str) -> Step:
        """The rewards of evolved instructions as answers to the prompts that asked for them."""
        job, found = evolved.job, evolved.inputs[1:]
        assert isinstance(job, EvolveJob)
        names = () if found else tuple(map(prompt_name, job.methods))
        identity = self.identify(
            "judge",
            "reward",
            *names,
            payload=lambda: {"metric": "reward", "prompts": digests(names), "model": self.models[model]},
        )
        does = JudgeJob(model, "reward", 1)
        return self.add(identity, f"reward of {instructions.subject}", does, instructions, *found)

    def _found(self, instructions: Step, block: Judging) -> Iterator[tuple[JudgeMetric, Step]]:
        for metric in block.metrics:
            judged = trajectories(instructions) if metric == "keywords" else instructions
            if judged is not None:
                yield metric, self._judge(judged, JudgeJob(block.judge, metric, block.max_tokens))

    def _judge(self, instructions: Step, job: JudgeJob) -> Step:
        assert job.metric != "reward"
        prompt = INSTRUCTION_JUDGING[job.metric]
        identity = self.identify(
            "judge",
            job.metric,
            payload=lambda: {
                "metric": job.metric,
                "max_tokens": job.max_tokens,
                "prompts": digests((prompt,)),
                "model": self.models[job.model],
            },
        )
        return self.add(identity, f"{job.metric} of {instructions.subject}", job, instructions)


def trajectories(instructions: Step) -> Step | None:
    """The step whose rows have the evolver's whole replies, if these list methods before a plan."""
    step = evolution(instructions)
    return step if step and isinstance(step.job, EvolveJob) and step.job.methods == (AUTO,) else None


def evolution(instructions: Step) -> Step | None:
    """The step that evolved the instructions of a set; None for seeds and for AutoIF's pairs."""
    step = instructions.inputs[0] if instructions.kind == "eliminate" else instructions
    return step if isinstance(step.job, EvolveJob) else None
