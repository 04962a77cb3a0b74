"""The loss curve is that of a plain `transformers.Trainer` with the same data, seed and hyper-parameters."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from actors.training.spec import TrainSpec
from actors.training.trainer import train

PAIRS = [(f"Say {i} in {i % 5 + 1} words.", " ".join(["word"] * (i % 7 + 1))) for i in range(21)]


def plain_losses(spec: TrainSpec, tokenizer, folder: Path) -> list[float]:
    """What transformers alone makes of the same; labels come from its own rendering of the chat template."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, DataCollatorForSeq2Seq, Trainer, TrainingArguments, set_seed

    rows = []
    for user, response in PAIRS:
        prompt = tokenizer.apply_chat_template([{"role": "user", "content": user}], add_generation_prompt=True)
        answer = tokenizer(response + "<|im_end|>", add_special_tokens=False)["input_ids"]
        ids = prompt["input_ids"] + answer
        rows.append({"input_ids": ids, "labels": [-100] * len(prompt["input_ids"]) + answer})
    set_seed(spec.seed)
    model = AutoModelForCausalLM.from_pretrained(spec.base, dtype=torch.float32)
    if spec.tuning == "lora":
        config = LoraConfig(r=spec.lora_rank, lora_alpha=spec.lora_alpha, target_modules="all-linear")
        model = get_peft_model(model, config)
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=spec.micro_batch_size,
        gradient_accumulation_steps=spec.batch_size // spec.micro_batch_size,
        learning_rate=spec.learning_rate,
        num_train_epochs=spec.epochs,
        lr_scheduler_type=spec.scheduler,
        optim={"adamw": "adamw_torch", "adafactor": "adafactor"}[spec.optimizer],
        warmup_steps=spec.warmup_ratio,
        weight_decay=spec.weight_decay,
        seed=spec.seed,
        use_cpu=True,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    collator = DataCollatorForSeq2Seq(tokenizer, padding=True)
    trainer = Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collator)
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize(
    ("tuning", "scheduler", "optimizer"),
    [("full", "cosine", "adamw"), ("lora", "cosine", "adamw"), ("full", "linear", "adafactor")],
)
def test_the_losses_are_those_of_transformers_trainer(
    ray_local, model_folder, tokenizer, tmp_path, tuning, scheduler, optimizer
) -> None:
    spec = TrainSpec(
        base=str(model_folder),
        dtype="float32",
        tuning=tuning,
        scheduler=scheduler,
        optimizer=optimizer,
        learning_rate=3e-3,
        epochs=3,
        batch_size=8,
        micro_batch_size=2,
        warmup_ratio=0.2,
        weight_decay=0.1,
        max_length=128,
        lora_alpha=32,
        seed=7,
    )
    ours = [loss for _, loss in train(spec, PAIRS, tmp_path / "student").losses]
    plain = plain_losses(spec, tokenizer, tmp_path / "plain")
    assert len(ours) == len(plain) == 9
    assert ours == pytest.approx(plain, abs=1e-3)
    assert abs(ours[0] - ours[-1]) > 0.1, "something was learned"
    packed = train(dataclasses.replace(spec, packing=True), PAIRS, tmp_path / "packed").losses
    assert [loss for _, loss in packed] == pytest.approx(plain, abs=1e-3), "and so are they without padding"
