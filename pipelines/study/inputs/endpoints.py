"""Checks of models behind servers, without asking them: what can be seen in the study file alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from actors.engine import EngineSpec, Feature
from actors.engines.registry import check_server, engine_info, identity_options, resolve
from pipelines.study.inputs.problem import Problem
from pipelines.study.spec.common.model import Model
from pipelines.study.spec.pairs.scoring import Scoring
from pipelines.study.spec.study import Study

_USES: Mapping[Feature, str] = {
    "prompt_logprobs": "'scorer'",
    "reply_logprobs": "'probabilities' of an evolution",
    "top_logprobs": "a judge's 'verdict: probability'",
}
_PLACEMENT = {"runtime", "cpus", "gpus", "accelerator", "replicas", "max_replicas", "in_flight", "shared"}


def check_placement(model: Model) -> Iterator[Problem]:
    """Yield options under `runtime` that change results: there they would not enter the keys of steps."""
    for name in model.runtime.keys() & identity_options(resolve(model.engine, model.gpus)):
        message = f"'{name}' changes results, so it must enter the keys of steps"
        yield Problem(("runtime", name), message, "Move it to 'options'.")


def check_here(model: Model) -> Iterator[Problem]:
    """Yield what is wrong with the address of a model's server, or with a key or file for it on this machine."""
    options = model.options | model.runtime
    spec = EngineSpec(resolve(model.engine, model.gpus), model.source, options=tuple(options.items()))
    try:
        check_server(spec)
    except ValueError as error:
        option = next(
            (name for name in options if f"'{name}'" in str(error) or str(options[name]) in str(error)), "url"
        )
        block = "runtime" if option in model.runtime else "options"
        yield Problem((block, option) if option in options else ("engine",), str(error))


def check_same_servers(models: Mapping[str, Model]) -> Iterator[tuple[str, Problem]]:
    """Yield models that are the same to the keys of steps as an earlier one, but at another address."""
    seen: dict[int, str] = {}
    for name, model in models.items():
        if engine_info(model.engine, model.gpus).memory_model != "remote":
            continue
        identity = hash(model.model_copy(update=dict.fromkeys(_PLACEMENT)))
        first = seen.setdefault(identity, name)
        if models[first].runtime.get("url") != model.runtime.get("url"):
            message = f"'{name}' is the same model as '{first}' at another address, so their results would be the same"
            remedy = "If they differ, write 'url' under 'options', or give each a 'revision'; if not, write one model."
            yield name, Problem(("runtime", "url"), message, remedy)


def check_scorer(study: Study, scoring: Scoring) -> Iterator[Problem]:
    """Yield what a scorer behind a server cannot do: it scores raw text, and its server sets the BOS token."""
    model = study.models.get(scoring.scorer)
    if model is None or engine_info(model.engine, model.gpus).memory_model != "remote":
        return
    if scoring.form == "chat":
        message = f"the scorer '{scoring.scorer}' is behind a server, which scores raw text only"
        yield Problem(("form",), message, "Use 'form: raw', or a scorer with engine transformers or vllm.")
    if scoring.truncate:
        message = f"the scorer '{scoring.scorer}' is behind a server, which decides about long texts itself"
        yield Problem(("truncate",), message, "Leave it out, or use a scorer with engine transformers or vllm.")
    if scoring.ranks:
        message = f"the scorer '{scoring.scorer}' is behind a server, which does not say the ranks of tokens"
        yield Problem(("ranks",), message, "Leave it out, or use a scorer with engine transformers or vllm.")
    if scoring.bos != "auto":
        message = f"the scorer '{scoring.scorer}' is behind a server, which decides about the BOS token itself"
        yield Problem(("bos",), message, "Use 'bos: auto', or a scorer with engine transformers or vllm.")


def check_log_probabilities(study: Study) -> Iterator[tuple[str, Problem]]:
    """Yield models whose log-probabilities the study needs, but that are asked in a way that never gives any."""
    for name, model in study.models.items():
        if not (needs := server_needs(study, name)):
            continue
        options = model.options | model.runtime
        anthropic = options.get("batch") == "anthropic"
        drop = options.get("drop")
        dropped = {"logprobs", "top_logprobs"} & {*map(str, drop if isinstance(drop, list) else ())}
        if anthropic or dropped:
            uses = ", ".join(_USES[need] for need in needs)
            why = "Anthropic's batch API has none" if anthropic else f"'drop' leaves out {', '.join(sorted(dropped))}"
            message = f"the study needs log-probabilities of '{name}' ({uses}), but {why}"
            yield name, Problem(("options", "batch" if anthropic else "drop"), message, "Use another model there.")


def server_needs(study: Study, name: str) -> tuple[Feature, ...]:
    """Return the features that the study's steps need of a model's server, beyond plain replies."""
    model = study.models[name]
    if engine_info(model.engine, model.gpus).memory_model != "remote":
        return ()
    judges = (bench.judge for bench in study.benchmarks if bench.traits.judging and bench.traits.judging.labels)
    needs: dict[Feature, bool] = {
        "prompt_logprobs": any(scoring.scorer == name for scoring in study.scoring),
        "reply_logprobs": any(each.probabilities > 0 and name in each.evolvers for each in study.evolution),
        "top_logprobs": any(each and each.model == name and each.verdict == "probability" for each in judges),
    }
    return tuple(feature for feature, needed in needs.items() if needed)
