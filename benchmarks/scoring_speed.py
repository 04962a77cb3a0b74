"""Compare the speed of scoring 1,000 Alpaca pairs with the published code: `python -m benchmarks.scoring_speed [FILE]`.

The model is a Llama with 9.4 million random float32 parameters and a vocabulary of 32,000 trained on Alpaca. As in
Llama 2, embeddings and output layer are not tied. For evolgrid (Ray Data, stream worker, router, replicas, Parquet)
time is measured from the first request to the commit, for the published code (`benchmarks.support.published_scores`)
from the first row to the last. Loading is excluded, and both run at the same process priority. FILE is Alpaca's data as
JSON Lines (default: the copy that the tests use).
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.evolve_alpaca import ALPACA
from benchmarks.support.lab import Lab, figure, lab, study
from cluster.connection.session import connect
from pipelines.execution.runtime.commit import commit_rows
from pipelines.rows.arrow import from_table
from pipelines.rows.ids import row_id
from pipelines.rows.types import InstructionRow, ResponseRow, Row, ScoreRow
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.study import Study

ROWS, WARM_UP = 1000, 64
RUNS = 3
GOAL = 8.0
LENGTH = 1024  # tokens
VOCABULARY, WIDTH, LAYERS = 32_000, 128, 6


@dataclass(frozen=True)
class Timing:
    """Seconds and mean IFD of one run."""

    seconds: float
    ifd: float


def make_model(folder: Path, texts: Iterator[str]) -> int:
    """Save the model and its tokenizer. Return the number of parameters by which a token is multiplied."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = make_tokenizer(texts)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=WIDTH * 8 // 3,
        num_hidden_layers=LAYERS,
        num_attention_heads=WIDTH // 64,
        max_position_embeddings=LENGTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model: Any = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model.num_parameters() - VOCABULARY * WIDTH


def make_tokenizer(texts: Iterator[str]) -> Any:
    """Train a byte-level BPE tokenizer on the texts. It adds a BOS token at the start."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    raw: Any = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    letters, special = pre_tokenizers.ByteLevel.alphabet(), ["<s>", "</s>"]
    raw.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=letters)
    )
    raw.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>", pad_token="</s>")


def make_study(folder: Path) -> Study:
    """Return a study that scores the pairs of two files with two replicas.

    Each replica has one thread, because small matrix products gain little from a second one.
    """
    scorer = {"source": str(folder / "model"), "dtype": "float32", "max_length": LENGTH, "cpus": 0.9, "replicas": 2}
    return study(
        {"scorer": scorer, "nobody": {"engine": "scripted", "cpus": 0}},
        1,
        seeds=[{"name": name, "file": str(folder / f"{name}.jsonl")} for name in ("warm", "full")],
        evolution={"evolvers": ["nobody"], "rounds": 1},
        responses={"teachers": ["nobody"]},
        scoring={"scorer": "scorer"},
    )


def ours(folder: Path) -> Timing:
    """Score the pairs with the runner."""
    with connect(None), lab(make_study(folder)) as here:
        warm, full = (add_answers(here, name) for name in ("warm", "full"))
        here.stream(warm)
        first = here.first_request()
        here.stream(full)
        ended = time.monotonic()
        rows = from_table(ScoreRow, here.context.store.rows(full.kind, full.key))
        return Timing(ended - first[0], statistics.fmean(row.ifd for row in rows))


def add_answers(here: Lab, name: str) -> Step:
    """Commit a file's own answers as if a teacher had given them, and return the step that scores them."""
    score = next(step for step in here.steps if step.kind == "score" and step.subject.startswith(f"{name} /"))
    (respond,) = score.inputs
    (seeds,) = respond.inputs
    rows = from_table(InstructionRow, here.context.store.rows(seeds.kind, seeds.key))
    made: list[Row] = [pair(row, row_id(row.id, respond.key)) for row in rows]
    commit_rows(here.context.store, respond, made, [], len(rows), 0.0)
    return score


def pair(row: InstructionRow, new_id: str) -> ResponseRow:
    """Return an instruction and its own answer as the row of a teacher's answer."""
    return ResponseRow(new_id, row.id, row.seed_id, row.index, row.instruction, row.input, row.reference, "stop", 0, 0)


def run_published(folder: Path) -> dict[str, float]:
    """Score the pairs with the published code in a separate process, and return its measurements."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.support.published_scores",
        str(folder / "model"),
        str(folder / "full.jsonl"),
    ]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Print a table and the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", default=ALPACA)
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 Ray's own spelling
    with gzip.open(parser.parse_args().file, "rt") as file:
        rows = [row for row in map(json.loads, file) if row["output"]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts = (f"{row['instruction']}\n{row['input']}\n{row['output']}" for row in rows)
        multiplied = make_model(folder / "model", texts)
        for seeds, few in (("warm", rows[ROWS : ROWS + WARM_UP]), ("full", rows[:ROWS])):
            (folder / f"{seeds}.jsonl").write_text("\n".join(map(json.dumps, few)))
        runs = [(ours(folder), run_published(folder)) for _ in range(RUNS)]
    print_results(runs, 2 * multiplied)


def print_results(runs: Sequence[tuple[Timing, dict[str, float]]], operations: int) -> None:
    """Print rows per second, and each program's share of the machine's rate of matrix multiplication.

    `operations` is the number of floating-point operations per token.
    """
    print(f"{'run':>4}{'evolgrid':>10}{'published':>11}{'ratio':>8}{'share':>8}{'(publ.)':>8}   rows/s")
    for number, (mine, peer) in enumerate(runs, start=1):
        needed = operations * peer["tokens"] / peer["matrix_rate"]
        speeds = f"{ROWS / mine.seconds:>10.1f}{ROWS / peer['seconds']:>11.1f}{peer['seconds'] / mine.seconds:>8.2f}"
        print(f"{number:>4}{speeds}{needed / mine.seconds:>8.0%}{needed / peer['seconds']:>8.0%}")
    rate, tokens = statistics.median(peer["matrix_rate"] for _, peer in runs), runs[0][1]["tokens"]
    print(
        f"{tokens:.0f} tokens of {operations / 1e6:.1f} million operations each; shares are of a plain matrix product's"
    )
    print(f"{rate / 1e9:.0f} GFLOP/s. Mean IFD {runs[0][0].ifd:.6f} and {runs[0][1]['ifd']:.6f}; medians:")
    ratio = statistics.median(peer["seconds"] / mine.seconds for mine, peer in runs)
    figure("scoring_speed.ratio", ratio, f">={GOAL:g}")


if __name__ == "__main__":
    main()
