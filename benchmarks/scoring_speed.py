"""Compare the speed of scoring Alpaca pairs with the published code and with the machine's rate of matrix products.

`python -m benchmarks.scoring_speed [--data FILE] [--model 9M]`. The models are Llamas with random float32 parameters
and a tokenizer of 32,000 tokens trained on Alpaca: one of 9.4 million whose output layer is not tied, as in Llama 2,
and one with the sizes of Gemma 3 270M. For evolgrid (Ray Data, stream worker, router, replicas, Parquet) time is
measured from the first request to the commit, for the published code (`benchmarks.support.published_scores`) from the
first row to the last. Loading is excluded, and both run at the same process priority.

`of_matrix_rate` is the share of the rate of a plain product of large matrices on all cores. The operations are those
that no program can leave out: linear layers and output layer at each token that predicts another one, once per text
(the pair, the answer alone), and attention to the tokens up to it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.support.lab import Lab, figure, lab, study
from benchmarks.support.public_data import ALPACA_ORIGIN, Record, alpaca_rows, data_parser, find_alpaca
from cluster.connection.session import connect
from pipelines.execution.runtime.commit import commit_rows
from pipelines.rows.arrow import from_table
from pipelines.rows.ids import row_id
from pipelines.rows.types import InstructionRow, ResponseRow, Row, ScoreRow
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.study import Study

RUNS = 3
LENGTH = 1024  # tokens
VOCABULARY = 32_000


@dataclass(frozen=True)
class Shape:
    """Sizes of a model, in the words of its config, how many rows it scores, and the goals of its two figures."""

    config: dict[str, Any]
    rows: int
    warm_up: int
    ratio: float
    share: float = 0.8


NINE_MILLION = Shape(
    {
        "vocab_size": VOCABULARY,
        "hidden_size": 128,
        "intermediate_size": 341,
        "num_hidden_layers": 6,
        "num_attention_heads": 2,
    },
    rows=1000,
    warm_up=64,
    ratio=8,
)
GEMMA_270M = Shape(
    {
        "vocab_size": 262_144,
        "hidden_size": 640,
        "intermediate_size": 2048,
        "num_hidden_layers": 18,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": 256,
        "tie_word_embeddings": True,
    },
    rows=48,
    warm_up=8,
    ratio=2,
)
SHAPES = {"9M": NINE_MILLION, "270M": GEMMA_270M}


@dataclass(frozen=True)
class Timing:
    """Seconds and mean IFD of one run."""

    seconds: float
    ifd: float


def make_model(folder: Path, texts: Iterable[str], shape: Shape = NINE_MILLION) -> tuple[int, int]:
    """Save the model and its tokenizer.

    Return its floating-point operations per token without attention, and per pair of tokens that attend to each other.
    """
    from torch.nn import Linear
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = make_tokenizer(texts)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = LlamaConfig(**shape.config, max_position_embeddings=LENGTH, **ends)
    model: Any = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    multiplied = sum(layer.weight.numel() for layer in model.modules() if isinstance(layer, Linear))
    width = config.num_attention_heads * (config.head_dim or 0)
    return 2 * multiplied, 4 * width * config.num_hidden_layers  # queries x keys, weights x values


def make_tokenizer(texts: Iterable[str]) -> Any:
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
    """Print a table and the figures of each model."""
    parser = data_parser(__doc__, "FILE", ALPACA_ORIGIN)
    parser.add_argument("--model", choices=SHAPES, action="append", help="(default: both)")
    parser.add_argument("--runs", type=int, default=RUNS)
    arguments = parser.parse_args()
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 Ray's own spelling
    with tempfile.TemporaryDirectory() as name:
        rows = alpaca_rows(find_alpaca(arguments.data, Path(name)))
        for model in arguments.model or SHAPES:
            folder = Path(name) / model
            folder.mkdir()
            compare(model, rows, folder, arguments.runs)


def compare(name: str, rows: Sequence[Record], folder: Path, count: int) -> None:
    """Score the first rows with one of SHAPES, `count` times by each program, and print the results."""
    shape = SHAPES[name]
    texts = (f"{row['instruction']}\n{row['input']}\n{row['output']}" for row in rows)
    of_token, of_pair = make_model(folder / "model", texts, shape)
    for seeds, few in (("warm", rows[shape.rows : shape.rows + shape.warm_up]), ("full", rows[: shape.rows])):
        (folder / f"{seeds}.jsonl").write_text("\n".join(map(json.dumps, few)))
    runs = [(ours(folder), run_published(folder)) for _ in range(count)]
    peer = runs[0][1]
    print_results(name, runs, of_token * peer["positions"] + of_pair * peer["attended"])


def print_results(name: str, runs: Sequence[tuple[Timing, dict[str, float]]], operations: float) -> None:
    """Print rows per second, and each program's share of the machine's rate of matrix products.

    `operations` is the number of floating-point operations that the rows need.
    """
    shape, shares = SHAPES[name], list[float]()
    print(f"{name:>4}{'evolgrid':>10}{'published':>11}{'ratio':>8}{'share':>8}{'(publ.)':>8}   rows/s")
    for number, (mine, peer) in enumerate(runs, start=1):
        ideal = operations / peer["matrix_rate"]  # seconds
        shares.append(ideal / mine.seconds)
        speeds = f"{shape.rows / mine.seconds:>10.1f}{shape.rows / peer['seconds']:>11.1f}"
        ratio = f"{peer['seconds'] / mine.seconds:>8.2f}"
        print(f"{number:>4}{speeds}{ratio}{shares[-1]:>8.0%}{ideal / peer['seconds']:>8.0%}")
    rate, known = statistics.median(peer["matrix_rate"] for _, peer in runs), runs[0][1]
    each = operations / known["positions"] / 1e6
    print(
        f"{known['positions']:.0f} tokens of {each:.1f} million operations each; shares are of a plain matrix product's"
    )
    print(f"{rate / 1e9:.0f} GFLOP/s. Mean IFD {runs[0][0].ifd:.6f} and {known['ifd']:.6f}; medians:")
    ending = "" if shape is NINE_MILLION else f"_{name.lower()}"
    ratio = statistics.median(peer["seconds"] / mine.seconds for mine, peer in runs)
    figure(f"scoring_speed.ratio{ending}", ratio, f">={shape.ratio:g}")
    figure(f"scoring_speed.of_matrix_rate{ending}", statistics.median(shares), f">={shape.share:g}")


if __name__ == "__main__":
    main()
