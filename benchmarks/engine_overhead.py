"""Compare tokens per second of the whole path with offline vLLM: `python -m benchmarks.engine_overhead`.

Both process the same 1,000 prompts of mixed length with the same engine arguments, one after the other in one run.
For evolgrid (Ray Data, stream worker, router, replica, vLLM, Parquet) time is measured from the first request to the
commit, for vLLM's `LLM.chat` from the call to its return. Loading is excluded. Both are warmed up with the same prompts
and run at the same process priority (by default, Ray's workers have a lower priority).

vLLM runs as it does by default: scheduler and model are separate processes. The table also has its throughput with both
in the calling process, as on a CPU, evolgrid's engine has them in one process, too.
"""

# pyright: reportMissingImports=false
# vLLM is optional: where it is not installed, the checker has nothing to look at.
from __future__ import annotations

import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import bundled
from benchmarks.support.lab import Lab, figure, lab, study
from cluster.connection.session import connect
from pipelines.operators.respond.answer import answer_prompt
from pipelines.rows.arrow import from_table
from pipelines.rows.types import ResponseRow
from pipelines.study.graph.steps.params.answers import RespondParams
from pipelines.study.graph.steps.step import Step
from pipelines.study.inputs.models import engine_spec
from pipelines.study.spec.study import Study

PROMPTS = 1000
WARM_UP = 32
RUNS = 3
MAX_TOKENS = 48
MAX_LENGTH = 512
GOAL = 0.95


class Run(NamedTuple):
    """Tokens per second of the runner, of offline vLLM, and of offline vLLM in one process."""

    evolgrid: float
    vllm: float
    one_process: float


def instructions(count: int, seed: int) -> list[str]:
    """Return instructions of 3 to 120 words, most of them short."""
    draw = random.Random(seed)
    words = "name three rivers that flow through large cities and say why water stone light matter to them".split()
    return [" ".join(draw.choices(words, k=min(120, 3 + int(draw.expovariate(1 / 25))))) for _ in range(count)]


def make_model(folder: Path) -> Path:
    """Save a model of 8 million random parameters with a bundled model's tokenizer. It rarely emits the end token."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer: Any = AutoTokenizer.from_pretrained(bundled.path("tiny-4m-chat"))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=320,
        intermediate_size=864,
        num_hidden_layers=6,
        num_attention_heads=5,
        num_key_value_heads=5,
        max_position_embeddings=MAX_LENGTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_study(model: Path, seeds: Path) -> Study:
    """Return a study that answers the instructions of `warm.jsonl` and `full.jsonl` in the folder `seeds`."""
    engine = {"engine": "vllm", "source": str(model), "cpus": 2, "max_length": MAX_LENGTH, "dtype": "float32"}
    return study(
        {"model": engine},
        1,
        seeds=[{"name": name, "file": str(seeds / f"{name}.jsonl")} for name in ("warm", "full")],
        evolution={"evolvers": ["model"], "rounds": 1},
        responses={"teachers": ["model"], "decodings": [{"name": "greedy", "max_tokens": MAX_TOKENS}]},
    )


def ours(chosen: Study) -> float:
    """Return the tokens per second of the runner."""
    with connect(None), lab(chosen) as here:
        warm, full = (answer_step(here, name) for name in ("warm", "full"))
        here.stream(warm)
        first = here.first_request()
        here.stream(full)
        ended = time.monotonic()
        rows = from_table(ResponseRow, here.context.store.rows(full.kind, full.key))
        return sum(row.tokens_out for row in rows) / (ended - first[0])


def answer_step(here: Lab, seeds: str) -> Step:
    """Return the step that answers the instructions of one file."""
    found = [step for step in here.steps if isinstance(step.params, RespondParams) and step.inputs[0].kind == "seeds"]
    return next(step for step in found if step.subject.startswith(seeds))


def run_plain_vllm(folder: Path) -> float:
    """Return the tokens per second of offline vLLM in this process."""
    from transformers import AutoConfig

    from actors.devices import device_name
    from actors.engines.vllm_arguments import engine_arguments
    from actors.engines.vllm_runtime.environment import set_environment

    set_environment(device_name(), batch_invariant=False)
    from vllm import LLM, SamplingParams

    spec = engine_spec(make_study(folder / "model", folder).models["model"], folder)
    config = AutoConfig.from_pretrained(spec.model)
    engine = LLM(**engine_arguments(spec, config))
    sampling = SamplingParams(temperature=0.0, max_tokens=MAX_TOKENS)

    def answer(name: str) -> int:
        lines = (folder / f"{name}.jsonl").read_text().splitlines()
        chats: Any = [
            [{"role": "user", "content": answer_prompt(json.loads(line)["instruction"], "")}] for line in lines
        ]
        return sum(len(each.outputs[0].token_ids) for each in engine.chat(chats, sampling, use_tqdm=False))

    answer("warm")
    started = time.monotonic()
    return answer("full") / (time.monotonic() - started)


def plain_vllm(folder: Path, one_process: bool) -> float:
    """Run `run_plain_vllm` in a separate process, so that its memory is freed at the end."""
    command = [sys.executable, "-m", "benchmarks.engine_overhead", str(folder)]
    environment = os.environ | {"VLLM_ENABLE_V1_MULTIPROCESSING": str(int(not one_process))}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(re.findall(r"^tokens per second: (.*)$", done.stdout, re.MULTILINE)[-1])


def measure(folder: Path) -> Run:
    """Return the throughput of each, measured one after the other."""
    return Run(ours(make_study(folder / "model", folder)), *(plain_vllm(folder, alone) for alone in (False, True)))


def main() -> None:
    """Print a table and the figure; with a folder as argument, the peer's number alone."""
    if len(sys.argv) > 1:
        print("tokens per second:", run_plain_vllm(Path(sys.argv[1])), flush=True)
        return
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 Ray's own spelling
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_model(folder / "model")
        for seeds, count in (("warm", WARM_UP), ("full", PROMPTS)):
            lines = [json.dumps({"instruction": text}) for text in instructions(count, count)]
            (folder / f"{seeds}.jsonl").write_text("\n".join(lines))
        runs = [measure(folder) for _ in range(RUNS)]
    print(f"{'run':>4}{'evolgrid':>10}{'vLLM':>10}{'ratio':>8}{'one process':>13}{'ratio':>8}   tokens/s")
    for number, each in enumerate(runs, start=1):
        default = f"{each.evolgrid:>10.0f}{each.vllm:>10.0f}{each.evolgrid / each.vllm:>8.2f}"
        print(f"{number:>4}{default}{each.one_process:>13.0f}{each.evolgrid / each.one_process:>8.2f}")
    print(f"{PROMPTS} prompts of mixed length, up to {MAX_TOKENS} tokens each; medians:")
    figure("engine_overhead.ratio", statistics.median(each.evolgrid / each.vllm for each in runs), f">={GOAL}")


if __name__ == "__main__":
    main()
