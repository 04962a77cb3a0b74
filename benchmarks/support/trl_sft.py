"""Trains one epoch with TRL's SFTTrainer with packing.

Start it with `python -m benchmarks.support.trl_sft MODEL ROWS.json LENGTH STEPS THREADS`.

ROWS.json has token ids and labels from evolgrid's trainer, so that both train on the same tokens. TRL's defaults are
kept (best-fit packing, its own loss), except those that slow it down on a CPU: gradient checkpointing and bfloat16 are
off. Prints the seconds of `train()` and the number of tokens as JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import transformers
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer


def trainer(model: str, rows: list[dict[str, list[int]]], length: int, steps: int, folder: str) -> Any:
    """Return a trainer with packs of `length` tokens.

    The number of packs per optimizer step is chosen so that an epoch has `steps` optimizer steps.
    """
    packs = sum(len(row["input_ids"]) for row in rows) / length
    config = SFTConfig(
        output_dir=folder,
        packing=True,
        max_length=length,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=max(1, round(packs / steps)),
        num_train_epochs=1,
        learning_rate=2e-5,
        lr_scheduler_type="cosine",
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        dataloader_pin_memory=False,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.pad_token = tokenizer.eos_token
    return SFTTrainer(model=loaded, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)


def main() -> None:
    """Train once."""
    model, file, length, steps, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    transformers.logging.set_verbosity_error()
    rows = json.loads(Path(file).read_text())
    with tempfile.TemporaryDirectory() as folder:
        made = trainer(model, rows, int(length), int(steps), folder)
        tokens = sum(len(pack["input_ids"]) for pack in made.train_dataset)
        started = time.monotonic()
        made.train()
        print(json.dumps({"seconds": time.monotonic() - started, "tokens": tokens}))


if __name__ == "__main__":
    main()
