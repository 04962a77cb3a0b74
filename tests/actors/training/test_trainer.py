"""Fine-tuning end to end on a tiny model: what is learned, what is repeatable, and what happens when it fails."""

from __future__ import annotations

import dataclasses
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray.exceptions import RayTaskError

from actors.training import host as train_host
from actors.training import trainer
from actors.training.spec import TrainError, TrainPlacement, TrainSpec
from actors.training.trainer import train

WORDS = ("red", "blue", "green", "white")
PAIRS = [(f"Say {word} twice.", f"{word} {word}") for word in WORDS for _ in range(6)]


@pytest.fixture
def spec(model_folder: Path) -> TrainSpec:
    return TrainSpec(
        base=str(model_folder),
        dtype="float32",
        learning_rate=3e-3,
        epochs=2,
        batch_size=8,
        micro_batch_size=8,
        max_length=128,
        seed=3,
    )


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def loaded(folder: Path):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()


def test_a_student_learns_a_mapping(ray_local, spec, tokenizer, tmp_path) -> None:
    import torch

    from actors.inference.chat_template import encode_chat

    outcome = train(dataclasses.replace(spec, epochs=12), PAIRS, tmp_path / "student")
    assert (outcome.rows, outcome.dropped, outcome.steps) == (24, 0, 36)
    assert [step for step, _ in outcome.losses] == list(range(1, 37))
    assert outcome.losses[-1][1] < 0.2 * outcome.losses[0][1]
    model = loaded(tmp_path / "student")
    for word in WORDS:
        prompt = torch.tensor([encode_chat(tokenizer, [("user", f"Say {word} twice.")], add_generation_prompt=True)])
        reply = model.generate(prompt, max_new_tokens=16, do_sample=False)[0, prompt.shape[1] :]
        assert tokenizer.decode(reply, skip_special_tokens=True) == f"{word} {word}"


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_the_first_loss_is_the_mean_over_answer_tokens(ray_local, spec, tokenizer, tmp_path, tuning) -> None:
    import torch

    from actors.inference.chat_template import encode_example

    spec = dataclasses.replace(spec, tuning=tuning, epochs=1, batch_size=24, micro_batch_size=4)
    outcome = train(spec, PAIRS, tmp_path / "student")
    model, total, count = loaded(Path(spec.base)), 0.0, 0
    for user, response in PAIRS:
        ids, labels = encode_example(tokenizer, [("user", user), ("assistant", response)])
        with torch.no_grad():
            logprobs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        answer = [i for i, label in enumerate(labels) if label != -100]
        total -= sum(logprobs[i - 1, ids[i]].item() for i in answer)
        count += len(answer)
    assert outcome.losses[0][1] == pytest.approx(total / count, abs=1e-4)


def test_lora_is_merged_and_the_adapter_kept(ray_local, spec, tmp_path) -> None:
    import torch
    from peft import PeftModel

    train(dataclasses.replace(spec, tuning="lora", learning_rate=1e-2), PAIRS, tmp_path / "student")
    merged, base = loaded(tmp_path / "student"), loaded(Path(spec.base))
    ids = torch.arange(4, 20)[None]
    with torch.no_grad():
        before = base(ids).logits
        adapted = PeftModel.from_pretrained(base, tmp_path / "student" / "adapter").eval()(ids).logits
        torch.testing.assert_close(merged(ids).logits, adapted, atol=1e-4, rtol=1e-4)
    assert (adapted - before).abs().max() > 0.01


def test_repeated_and_concurrent_runs_give_the_same_bits(ray_local, spec, tmp_path) -> None:
    specs = [spec, spec, dataclasses.replace(spec, seed=4)]
    with ThreadPoolExecutor(2) as threads:
        outcomes = list(threads.map(lambda i: train(specs[i], PAIRS, tmp_path / f"{i}"), range(3)))
    assert outcomes[0].losses == outcomes[1].losses
    assert weights(tmp_path / "0") == weights(tmp_path / "1") != weights(tmp_path / "2")


def test_only_a_new_process_is_waited_for(ray_local, spec, tmp_path, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(train_host, "_checkout_host", lambda cluster, cpus: None)
        new = train(spec, PAIRS, tmp_path / "new")
    warm = train(spec, PAIRS, tmp_path / "warm")
    assert new.start > 10 * warm.start


def test_the_micro_batch_does_not_change_the_losses(ray_local, spec, tmp_path) -> None:
    pairs = [*PAIRS, ("Say nothing.", "a much longer answer than all the others")]  # the last step is not full
    runs = [
        train(dataclasses.replace(spec, micro_batch_size=micro), pairs, tmp_path / f"{micro}").losses
        for micro in (1, 4)
    ]
    assert [step for step, _ in runs[0]] == list(range(1, 9))
    assert [loss for _, loss in runs[0]] == pytest.approx([loss for _, loss in runs[1]], abs=1e-4)


def test_rows_are_limited_by_the_positions_of_the_base(ray_local, spec, tokenizer, tmp_path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64, "vocab_size": len(tokenizer)}
    GPT2LMHeadModel(GPT2Config(**sizes)).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    long = dataclasses.replace(spec, base=str(tmp_path / "base"), max_length=2048)
    outcome = train(long, [*PAIRS, ("Say it.", "a long answer " * 60)], tmp_path / "student")
    assert (outcome.rows, outcome.shortened, outcome.dropped) == (25, 1, 0)


def test_rows_without_a_response_are_dropped(ray_local, spec, tmp_path) -> None:
    plain = train(spec, PAIRS, tmp_path / "plain")
    mixed = train(spec, [*PAIRS, ("Say nothing.", ""), ("Say nothing.", "  ")], tmp_path / "mixed")
    assert (mixed.rows, mixed.dropped) == (24, 2)
    assert mixed.losses == plain.losses
    with pytest.raises(TrainError, match="none of 1 rows has a response"):
        train(spec, [("Say nothing.", "")], tmp_path / "none")


def test_an_impossible_split_is_refused(spec, tmp_path) -> None:
    with pytest.raises(TrainError, match=r"8 rows cannot be split into 3 worker\(s\) x 8 rows.*multiple of 24"):
        train(spec, PAIRS, tmp_path / "student", TrainPlacement(workers=3))


def test_a_node_without_deepspeed_names_what_to_install(monkeypatch) -> None:
    from actors.training.deepspeed_learner import import_deepspeed

    monkeypatch.setitem(sys.modules, "deepspeed", None)
    with pytest.raises(TrainError, match=r"needs DeepSpeed.*pip install 'evolgrid\[deepspeed\]'"):
        import_deepspeed()


def test_a_failed_training_leaves_nothing(ray_local, spec, tmp_path) -> None:
    with pytest.raises(TrainError, match="the training failed"):
        train(dataclasses.replace(spec, base=str(tmp_path / "missing")), PAIRS, tmp_path / "student")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("left", [True, False])
def test_a_training_that_fails_with_what_an_earlier_one_left_is_tried_from_nothing(
    spec, tmp_path, monkeypatch, left: bool
) -> None:
    aside, tries = tmp_path / "aside", list[bool]()

    def attempt(job, on_progress) -> list:
        tries.append(aside.exists())
        aside.mkdir(exist_ok=True)
        raise RayTaskError("train", "traceback", TrainError("half a checkpoint", 2))

    monkeypatch.setattr(trainer, "_make_job", lambda *_: SimpleNamespace(spec=spec))
    monkeypatch.setattr(trainer, "_train_once", attempt)
    if left:
        aside.mkdir()
    with pytest.raises(TrainError, match="half a checkpoint") as failed:
        trainer.train_to_staging(spec, [PAIRS], str(aside))
    assert tries == ([True, False] if left else [False]) and not aside.exists()
    assert failed.value.restarts == 2 + left


def test_an_unexpected_error_of_a_training_is_one_line(spec, tmp_path, monkeypatch) -> None:
    def attempt(job, on_progress) -> list:
        raise RayTaskError("train", "traceback", ValueError("first line\n" + "and many more\n" * 100))

    monkeypatch.setattr(trainer, "_make_job", lambda *_: SimpleNamespace(spec=spec))
    monkeypatch.setattr(trainer, "_train_once", attempt)
    with pytest.raises(TrainError, match="the training failed: ValueError: first line and many more") as failed:
        trainer.train_to_staging(spec, [PAIRS], str(tmp_path / "aside"))
    assert "\n" not in str(failed.value) and len(str(failed.value)) < 600


def test_a_saved_student_outlives_a_loss_of_power(spec, tmp_path, monkeypatch) -> None:
    import torch

    from actors.training.model import load_model, load_tokenizer, save_student

    flushed = set[Path]()
    fsync = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda handle: (flushed.add(Path(f"/proc/self/fd/{handle}").resolve()), fsync(handle))
    )
    model, tokenizer = load_model(spec, torch.float32), load_tokenizer(spec)
    save_student(model, tokenizer, torch.float32, str(tmp_path / "student"))
    assert flushed >= {tmp_path / "student", *(tmp_path / "student").iterdir()}


def test_an_existing_output_is_not_touched(spec, tmp_path) -> None:
    with pytest.raises(TrainError, match="exists already"):
        train(spec, PAIRS, tmp_path)


@pytest.mark.case(18)
def test_an_interrupted_training_is_taken_up_where_it_was(ray_local, spec, tmp_path) -> None:
    def interrupt(step: int, steps: int, loss: float) -> None:
        if step > 6:
            raise KeyboardInterrupt

    spec = dataclasses.replace(spec, epochs=60)
    placement = TrainPlacement(checkpoint_steps=2)
    whole = train(spec, PAIRS, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(spec, PAIRS, tmp_path / "student", placement, on_progress=interrupt)
    assert not (tmp_path / "student").exists()
    started: list[int] = []
    resumed = train(spec, PAIRS, tmp_path / "student", placement, lambda step, steps, loss: started.append(step))
    assert min(started) > 6 - 2
    assert resumed.losses == whole.losses
    assert weights(tmp_path / "student") == weights(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["student", "whole"]


@pytest.mark.case(18)
def test_a_lost_process_resumes_at_the_last_checkpoint(ray_local, spec, tmp_path, monkeypatch, seed: int) -> None:
    import ray

    hosts, steps, take = [], [], train_host._checkout_host

    def spy(cluster: str, cpus: float):
        hosts.append(take(cluster, cpus) or train_host._new_host(cpus))
        return hosts[-1]

    def kill_once(step: int, total: int, loss: float) -> None:
        steps.append(step)
        if len(hosts) == 1 and step > 6 + 15 * seed:
            ray.kill(hosts[0])

    spec = dataclasses.replace(spec, epochs=30)
    whole = train(spec, PAIRS, tmp_path / "whole")
    monkeypatch.setattr(train_host, "_checkout_host", spy)
    broken = train(spec, PAIRS, tmp_path / "broken", on_progress=kill_once)
    assert len(hosts) == 2
    assert broken.losses == whole.losses
    assert weights(tmp_path / "broken") == weights(tmp_path / "whole")


@pytest.mark.case(19)
@pytest.mark.parametrize("damage", ["half written", "cut off", "lost"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path, damage) -> None:
    from actors.training.checkpoints import LocalCheckpoints

    checkpoints = LocalCheckpoints(tmp_path)
    for step in (1, 2, 3):
        checkpoints.save(step, lambda folder: (folder / "weights").write_text(f"those of {folder}"))
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["2", "3"], "the one before is kept"
    if damage == "half written":  # killed before it got its name
        (tmp_path / "3").rename(tmp_path / "writing")
    elif damage == "cut off":
        (tmp_path / "3" / "weights").write_text("those")
    else:
        (tmp_path / "3" / "weights").unlink()
    with checkpoints.latest() as folder:
        assert folder == tmp_path / "2"
