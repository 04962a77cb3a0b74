"""Chooses the models of a new study: those of a server, of the hub for a machine with GPUs, or the bundled ones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from actors.engines.http.endpoint import Endpoint
from actors.engines.http.probe import served_models
from pipelines.errors import InputError

PLACEHOLDER_URL = "http://localhost:8000/v1"
MAX_GENERATORS = 2
MAX_NAMED = 20
_OTHER_TASKS = re.compile(
    r"embed|rerank|whisper|tts|dall-e|moderation|transcri|speech|realtime|image|audio|sora|guard|reward", re.IGNORECASE
)
_TINY = "{tuning: full, learning_rate: 1.0e-3, epochs: 3, batch_size: 16, micro_batch_size: 16, max_length: 256}"
_LORA = (
    "{tuning: lora, lora_rank: 16, lora_alpha: 32, learning_rate: 2.0e-4, epochs: 3, batch_size: 32, "
    "micro_batch_size: 4, max_length: 2048}"
)
_BASE = '  base: {source: "bundled:tiny-4m-base", max_length: 1024, cpus: 0.6, dtype: float32}'


@dataclass(frozen=True, slots=True)
class Server:
    """A model server: its address, the names of the models that it serves, and the variable that has its key."""

    url: str
    models: tuple[str, ...]
    key_env: str = ""


@dataclass(frozen=True, slots=True)
class StarterModels:
    """The `models` block of a new study.

    Attributes:
        text: The block as YAML.
        generators: The names of the models that write and answer, from weakest to strongest where that is known.
        evolve_tokens: The limit of an evolved instruction.
        answer_tokens: The limit of an answer.
        recipe: The recipe of students of `base`, as YAML.
        unpinned: Whether hub models are named by a branch, which `evolgrid lock` pins.
    """

    text: str
    generators: tuple[str, ...]
    evolve_tokens: int
    answer_tokens: int
    recipe: str
    unpinned: bool = False


def ask_server(url: str, key_env: str = "") -> Server:
    """Return what a server says it serves.

    Raises:
        InputError: It does not answer, rejects the key, or gives no list of models.
    """
    try:
        endpoint = Endpoint(url, key_env=key_env)
        return Server(endpoint.base, tuple(served_models(endpoint)), key_env)
    except (ConnectionError, ValueError) as error:
        remedy = None
        if "key" in str(error):
            remedy = "Name the environment variable that has the key: --key-env OPENAI_API_KEY."
        raise InputError(str(error).replace("engine 'http': ", ""), remedy=remedy) from None


def bundled_models(own_data: bool) -> StarterModels:
    """Return the models that are part of evolgrid. `own_data` says that they will get texts they do not know."""
    limits = (192, 96) if own_data else (96, 48)
    note = (
        "  # They know a small world of tasks only, so what they write about your data is nonsense: they show that\n"
        "  # the study works. Then name real models, for example\n"
        "  #   large: {source: Qwen/Qwen2.5-7B-Instruct, revision: main, gpus: 1, max_length: 4096}\n"
        "  #   large: {source: gpt-4.1-mini, engine: http, runtime: {url: 'https://api.openai.com/v1', key_env: "
        "OPENAI_API_KEY}}\n"
        "  # where 'evolgrid lock' pins 'main' to a commit.\n"
        if own_data
        else "  # Your own: a folder, a name on the Hugging Face hub, or a server (docs/engines.md).\n"
    )
    text = (
        "models:\n"
        "  # bundled with evolgrid: tiny, for a CPU, nothing is downloaded\n"
        f"{note}"
        '  small: {source: "bundled:tiny-1m-chat", max_length: 1024, cpus: 0.2}\n'
        '  large: {source: "bundled:tiny-4m-chat", max_length: 1024, cpus: 0.2}\n'
        f"{_BASE}"
    )
    return StarterModels(text, ("small", "large"), *limits, f"sft: {_TINY}")


def hub_models(gpus: int) -> StarterModels:
    """Return small open models of the hub for a machine or a cluster with GPUs, named by branch."""
    text = (
        "models:\n"
        f"  # For {gpus} GPU{'s' if gpus > 1 else ''}; models that do not fit at once take turns.\n"
        "  # 'main' is a branch: 'evolgrid lock' pins it to the commit that it has now.\n"
        "  small: {source: Qwen/Qwen2.5-0.5B-Instruct, revision: main, max_length: 4096, gpus: 1}\n"
        "  large: {source: Qwen/Qwen2.5-7B-Instruct, revision: main, max_length: 4096, gpus: 1}\n"
        "  base: {source: Qwen/Qwen2.5-0.5B, revision: main, max_length: 4096, gpus: 1}"
    )
    return StarterModels(text, ("small", "large"), 1024, 1024, f"sft: {_LORA}", unpinned=True)


def server_models(server: Server | None, with_base: bool) -> StarterModels:
    """Return models behind a server; without one, a line to fill in. `with_base`: also a bundled model to train."""
    found = server or Server(PLACEHOLDER_URL, ("my-model",))
    writers = [name for name in found.models if not _OTHER_TASKS.search(name)] or list(found.models)
    chosen, others = writers[:MAX_GENERATORS], [name for name in found.models if name not in writers[:MAX_GENERATORS]]
    names = _short_names(chosen)
    key = f", key_env: {found.key_env}" if found.key_env else ""
    entries = [
        f'  {name}: {{source: "{model}", engine: http, max_length: 8192, runtime: {{url: "{found.url}"{key}}}}}'
        for name, model in names.items()
    ]
    hints = [
        "  # a model's 'source' is its name on the server; with 'price: {input: 0.4, output: 1.6}' (dollars per million"
    ]
    hints.append("  # tokens), preview, plan and budget know the costs")
    if server is None:
        hints.append(
            "  # the address and the names of your server's models: 'evolgrid init --endpoint URL' fills them in"
        )
    if others:
        more = f" and {len(others) - MAX_NAMED} more" if len(others) > MAX_NAMED else ""
        hints += _wrapped(f"it also serves {', '.join(others[:MAX_NAMED])}{more}")
    if with_base:
        entries.append(f"  # the student and scorer, bundled with evolgrid; name a real model instead\n{_BASE}")
    return StarterModels("\n".join(["models:", *hints, *entries]), tuple(names), 1024, 1024, f"sft: {_TINY}")


def _short_names(models: Sequence[str]) -> Mapping[str, str]:
    """Return the models by names that a study may use: the last part of each, in lower case."""
    names: dict[str, str] = {}
    for model in models:
        plain = re.sub(r"[^a-z0-9._-]+", "-", model.rsplit("/", 1)[-1].lower()).strip("-._")[:48] or "model"
        name, number = plain, 2
        while name in names or name == "base":
            name, number = f"{plain}-{number}", number + 1
        names[name] = model
    return names


def _wrapped(text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, 116, initial_indent="  # ", subsequent_indent="  # ", break_on_hyphens=False)
