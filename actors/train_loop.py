"""What every worker of a training does: load, encode, train with `transformers.Trainer`, save. Import it late."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
import ray.train
import torch
import transformers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from actors.sft_data import EpochOrder, SftData, collate, encode_pairs, with_filler
from actors.train_spec import TrainOutcome, TrainSpec, accumulation_steps

if TYPE_CHECKING:
    from peft import PeftModel

    from actors.train_host import TrainJob

Report = Callable[[int, int, float], None]  # step, all steps, loss
STATE_FILE = "trainer_state.json"  # written last into a checkpoint by transformers


class _SftTrainer(Trainer):
    """transformers' Trainer with our order of rows."""

    def __init__(self, order: EpochOrder, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._order = order

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochOrder:
        return self._order


class _Progress(TrainerCallback):
    """Reports every step's loss and asks for a checkpoint after every epoch but the last."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        loss = kwargs["logs"].get("loss")
        if loss is not None and state.is_world_process_zero:
            self._report(state.global_step, state.max_steps, loss)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        control.should_save = state.global_step < state.max_steps

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        checkpoint = ray.train.Checkpoint.from_directory(folder) if state.is_world_process_zero else None
        ray.train.report({"step": state.global_step}, checkpoint=checkpoint)


def train_worker(job: TrainJob, scratch: Path | None, report: Report) -> TrainOutcome:
    """Run one worker's share of `job` inside Ray Train; worker 0 leaves the trained model in `student` aside.

    Checkpoints are written to `scratch` and taken up from there, or, if it is None, kept by Ray Train.
    """
    _be_quiet()
    torch.set_num_threads(job.threads)
    transformers.set_seed(job.spec.seed)
    tokenizer = AutoTokenizer.from_pretrained(job.spec.base, revision=job.spec.revision)
    table = ray.get(job.pairs)
    data = encode_pairs(tokenizer, table["user"].to_pylist(), table["response"].to_pylist(), job.spec.max_length)
    dtype = _dtype(job.spec)
    model = _load_model(job.spec, dtype)
    with tempfile.TemporaryDirectory() as temporary:
        trainer = _trainer(job, model, tokenizer, data, scratch or Path(temporary), dtype, report)
        started = time.monotonic()
        _fit(trainer, scratch)
        seconds = time.monotonic() - started
    if trainer.is_world_process_zero():
        _save(model, tokenizer, job, dtype)
    losses = tuple((int(entry["step"]), entry["loss"]) for entry in trainer.state.log_history if "loss" in entry)
    rows, tokens = len(data.examples), data.tokens * job.spec.epochs
    return TrainOutcome(rows, data.dropped, trainer.state.global_step, tokens, seconds, losses)


def _be_quiet() -> None:
    """The driver draws the progress."""
    for library in ("ray.train", "DeepSpeed"):
        logging.getLogger(library).addFilter(lambda record: record.levelno >= logging.ERROR)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def _dtype(spec: TrainSpec) -> torch.dtype:
    """The dtype of computation and of the saved weights."""
    if spec.dtype != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[spec.dtype]
    saved = AutoConfig.from_pretrained(spec.base, revision=spec.revision).dtype
    return torch.bfloat16 if saved == torch.bfloat16 else torch.float32


def _load_model(spec: TrainSpec, dtype: torch.dtype) -> PreTrainedModel | PeftModel:
    # AdamW's small updates vanish in bfloat16: weights that are trained stay float32
    held = torch.float32 if spec.tuning == "full" else dtype
    model = AutoModelForCausalLM.from_pretrained(spec.base, revision=spec.revision, dtype=held)
    if spec.tuning == "full":
        return model
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=spec.lora_rank, lora_alpha=spec.lora_alpha, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return get_peft_model(model, config)  # pyright: ignore[reportReturnType]


def _trainer(
    job: TrainJob,
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    data: SftData,
    scratch: Path,
    dtype: torch.dtype,
    report: Report,
) -> Trainer:
    workers = ray.train.get_context().get_world_size()
    examples = with_filler(data.examples, workers * job.spec.micro_batch_size)
    rows = len(data.examples)
    trainer = _SftTrainer(
        EpochOrder(rows, len(examples) - rows, job.spec.seed),
        model=model,
        args=_arguments(job, workers, scratch, dtype == torch.bfloat16),
        train_dataset=examples,
        data_collator=partial(collate, pad=_pad_id(tokenizer)),
        callbacks=[_Progress(report)],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer


def _arguments(job: TrainJob, workers: int, scratch: Path, bf16: bool) -> TrainingArguments:
    spec = job.spec
    return TrainingArguments(
        output_dir=str(scratch),
        per_device_train_batch_size=spec.micro_batch_size,
        gradient_accumulation_steps=accumulation_steps(spec, workers),
        learning_rate=spec.learning_rate,
        weight_decay=spec.weight_decay,
        num_train_epochs=spec.epochs,
        lr_scheduler_type="cosine",
        warmup_steps=spec.warmup_ratio,
        bf16=bf16,
        seed=spec.seed,
        use_cpu=not job.gpu,
        ddp_backend=None if job.gpu or workers == 1 else "gloo",
        ddp_find_unused_parameters=False,
        dataloader_pin_memory=job.gpu,
        remove_unused_columns=False,
        logging_steps=1,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to="none",
        save_strategy="no",
        save_total_limit=1,
    )


def _pad_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """Any id would do: padding is neither attended to nor trained on."""
    return tokenizer.pad_token_id if isinstance(tokenizer.pad_token_id, int) else 0


def _fit(trainer: Trainer, scratch: Path | None) -> None:
    """Train from the last complete checkpoint, or from the start."""
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as folder:
            trainer.train(resume_from_checkpoint=folder)
    else:
        folders = [file.parent for file in scratch.glob(f"checkpoint-*/{STATE_FILE}")] if scratch else []
        last = max(folders, key=lambda folder: int(folder.name.rpartition("-")[2]), default=None)
        trainer.train(resume_from_checkpoint=None if last is None else str(last))


def _save(model: Any, tokenizer: PreTrainedTokenizerBase, job: TrainJob, dtype: torch.dtype) -> None:
    """Write the student as a Hugging Face folder: LoRA merged into the base, the adapter itself in `adapter/`."""
    from fsspec.core import url_to_fs

    filesystem, path = url_to_fs(job.aside)
    with tempfile.TemporaryDirectory() as temporary:
        local = filesystem.protocol[0] == "file"
        folder = Path(path if local else temporary) / "student"
        if job.spec.tuning == "lora":
            model.save_pretrained(folder / "adapter")
            model = model.merge_and_unload()
        model.to(dtype).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        if not local:
            filesystem.put(str(folder), f"{path}/student", recursive=True)
