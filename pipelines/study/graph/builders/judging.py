"""Adds the steps in which a judge rates the instructions of a data set."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.study.graph.builders.step_builder import StepBuilder
from pipelines.study.graph.steps.grid import JudgementSteps
from pipelines.study.graph.steps.methods import AUTO, prompt_name
from pipelines.study.graph.steps.params.instructions import EvolveParams
from pipelines.study.graph.steps.params.measures import JudgeParams
from pipelines.study.graph.steps.prompt_names import INSTRUCTION_JUDGE_PROMPTS, describe_prompts
from pipelines.study.graph.steps.step import Step
from pipelines.study.inputs.system_prompts import read_system_prompt
from pipelines.study.spec.pairs.scoring import JudgeMetric, Judging


class JudgingSteps:
    """Adds a study's judgements to its grid, one step for each metric.

    `reward` is the reward model of evolved instructions, if the study has one. `system` is the judge's system prompt.
    """

    def __init__(self, builder: StepBuilder) -> None:
        self.builder, self.block, self.reward = builder, builder.study.judging, builder.study.instruction_reward
        self.system = read_system_prompt(builder.folder, self.block.system if self.block else None)

    def add_judgements(self, instructions: Step) -> JudgementSteps:
        """Return the steps by metric; `keywords` has one only if the evolver's replies list their methods."""
        asked = tuple(self._add_metrics(instructions, self.block)) if self.block else ()
        evolved = evolution_step(instructions)
        if self.reward is None or evolved is None:
            return asked
        return *asked, ("reward", self._add_reward(instructions, evolved, self.reward))

    def _add_reward(self, instructions: Step, evolved: Step, model: str) -> Step:
        """Add the rewards of evolved instructions as answers to the evolver's prompts."""
        job, found = evolved.params, evolved.inputs[1:]
        assert isinstance(job, EvolveParams)
        names = () if found else tuple(map(prompt_name, job.methods))
        identity = self.builder.identify(
            JudgeParams,
            metric="reward",
            prompts=describe_prompts(self.builder.catalog, *names),
            model=self.builder.models[model],
        )
        judge_params = JudgeParams(model, "reward", 1)
        return self.builder.add(identity, f"reward of {instructions.subject}", judge_params, instructions, *found)

    def _add_metrics(self, instructions: Step, block: Judging) -> Iterator[tuple[JudgeMetric, Step]]:
        for metric in block.metrics:
            judged = trajectory_step(instructions) if metric == "keywords" else instructions
            if judged is not None:
                params = JudgeParams(block.judge, metric, block.reply_tokens(metric), self.system, block.share)
                yield metric, self._add_judgement(judged, params)

    def _add_judgement(self, instructions: Step, params: JudgeParams) -> Step:
        assert params.metric != "reward"
        prompt = INSTRUCTION_JUDGE_PROMPTS[params.metric]
        identity = self.builder.identify(
            JudgeParams,
            metric=params.metric,
            max_tokens=params.max_tokens,
            system=params.system,
            share=params.share,
            prompts=describe_prompts(self.builder.catalog, prompt),
            model=self.builder.models[params.model],
        )
        return self.builder.add(identity, f"{params.metric} of {instructions.subject}", params, instructions)


def trajectory_step(instructions: Step) -> Step | None:
    """Return the step whose rows have the evolver's full replies, if these list methods before a plan."""
    step = evolution_step(instructions)
    return step if step and isinstance(step.params, EvolveParams) and step.params.methods == (AUTO,) else None


def evolution_step(instructions: Step) -> Step | None:
    """Return the step that evolved the instructions of a set; None for seeds and for AutoIF's pairs."""
    step = instructions.inputs[0] if instructions.kind == "eliminate" else instructions
    return step if isinstance(step.params, EvolveParams) else None
