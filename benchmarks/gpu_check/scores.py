"""Log-probabilities of given texts: 16 bits against 32, and against the model's own logits."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import cross_entropy

import bundled
from actors.engine import EngineSpec, LogprobRequest
from actors.engines.registry import create
from actors.inference.model_loading import load_model
from actors.inference.scoring.logprobs import score_tokens
from benchmarks.gpu_check.report import Recorder
from benchmarks.gpu_check.support import ask

MODEL = str(bundled.path("tiny-4m-chat"))
MEAN_LIMIT = 0.1  # nats per token between 16 and 32 bits
EXACT_LIMIT = 1e-3  # nats, of each token
BIAS_LIMIT = 0.01  # nats, on average: the logits of a 16-bit head are rounded
TEXTS = ["name three words with the letter a. apple ant arm"] * 3 + ["river stone light water " * n for n in (2, 9, 20)]


def run(record: Recorder) -> None:
    """Score the same texts in both dtypes, and compare each with the logits of the model itself."""
    exact, rounded = (_scores(dtype) for dtype in ("float32", "bfloat16"))
    difference = (exact - rounded).abs()
    record.check(
        "bfloat16 is near float32",
        float(difference.mean()) < MEAN_LIMIT,
        mean=float(difference.mean()),
        limit=MEAN_LIMIT,
    )
    record.check("equal texts have equal scores", bool((exact[0] == exact[1]).all()))
    for dtype in ("float32", "bfloat16"):
        exact_head, own_logits = _against_the_model(dtype)
        largest = float(exact_head.abs().max())
        name = f"{dtype}: scores are those of a float32 head on the model's own states"
        record.check(name, largest < EXACT_LIMIT, largest=largest, limit=EXACT_LIMIT)
        bias, largest = abs(float(own_logits.mean())), float(own_logits.abs().max())
        name = f"{dtype}: on average they are those of the model's own logits"
        record.check(name, bias < BIAS_LIMIT, bias=bias, largest=largest, limit=BIAS_LIMIT)


def _scores(dtype: str) -> torch.Tensor:
    """Return the log-probabilities of all texts, [texts, tokens], padded with 0."""
    engine = create(EngineSpec("transformers", MODEL, dtype=dtype, max_length=512))
    answers = ask(engine, "logprobs", [LogprobRequest(f"s{i}", "say it: ", text, text) for i, text in enumerate(TEXTS)])
    engine.close()
    rows = [torch.tensor([v for v in (*a.logprobs, *a.alone) if v is not None]) for a in answers]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


@torch.inference_mode()
def _against_the_model(dtype: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return how far our scores are from those of a float32 head, and from those of the model's logits, [tokens]."""
    from transformers import AutoTokenizer

    model: Any = load_model(EngineSpec("transformers", MODEL, dtype=dtype))
    ids = AutoTokenizer.from_pretrained(MODEL)(TEXTS[-1])["input_ids"]
    row = torch.tensor([ids], device=model.device)
    states = model.base_model(input_ids=row)[0][0, :-1]  # [tokens, features]
    exact = states.float() @ model.get_output_embeddings().weight.float().T  # [tokens, vocabulary]
    ((ours, _),) = score_tokens(model, [ids], 0, lambda: None)
    found = torch.tensor([value for value in ours if value is not None])
    references = (exact, model(input_ids=row).logits[0, :-1].float())
    first, second = (-cross_entropy(logits, row[0, 1:], reduction="none").cpu() for logits in references)
    return found - first, found - second
