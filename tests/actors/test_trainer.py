"""Fine-tuning end to end on a tiny model: what is learned, what is repeatable, and what happens when it fails."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from actors import train_host
from actors.trainer import TrainError, TrainPlacement, TrainSpec, train

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

    from actors.chat import encode_chat

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

    from actors.chat import encode_example

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


def test_the_micro_batch_does_not_change_the_losses(ray_local, spec, tmp_path) -> None:
    pairs = [*PAIRS, ("Say nothing.", "a much longer answer than all the others")]  # the last step is not full
    runs = [
        train(dataclasses.replace(spec, micro_batch_size=micro), pairs, tmp_path / f"{micro}").losses
        for micro in (1, 4)
    ]
    assert [step for step, _ in runs[0]] == list(range(1, 9))
    assert [loss for _, loss in runs[0]] == pytest.approx([loss for _, loss in runs[1]], abs=1e-4)


def test_rows_without_a_response_are_dropped(ray_local, spec, tmp_path) -> None:
    plain = train(spec, PAIRS, tmp_path / "plain")
    mixed = train(spec, [*PAIRS, ("Say nothing.", ""), ("Say nothing.", "  ")], tmp_path / "mixed")
    assert (mixed.rows, mixed.dropped) == (24, 2)
    assert mixed.losses == plain.losses
    with pytest.raises(TrainError, match="none of 1 rows has a response"):
        train(spec, [("Say nothing.", "")], tmp_path / "none")


def test_an_impossible_split_is_refused(spec, tmp_path) -> None:
    with pytest.raises(TrainError, match=r"8 rows can not be split into 3 worker\(s\) x 8 rows.*multiple of 24"):
        train(spec, PAIRS, tmp_path / "student", TrainPlacement(workers=3))


def test_a_failed_training_leaves_nothing(ray_local, spec, tmp_path) -> None:
    with pytest.raises(TrainError, match="the training failed"):
        train(dataclasses.replace(spec, base=str(tmp_path / "missing")), PAIRS, tmp_path / "student")
    assert not list(tmp_path.iterdir())


def test_an_existing_output_is_not_touched(spec, tmp_path) -> None:
    with pytest.raises(TrainError, match="exists already"):
        train(spec, PAIRS, tmp_path)


def test_an_interrupt_ends_the_training(ray_local, spec, tmp_path) -> None:
    def interrupt(step: int, steps: int, loss: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(dataclasses.replace(spec, epochs=200), PAIRS, tmp_path / "student", on_progress=interrupt)
    assert not list(tmp_path.iterdir())


def test_a_lost_process_resumes_at_the_last_checkpoint(ray_local, spec, tmp_path, monkeypatch) -> None:
    import ray

    hosts, steps, take = [], [], train_host._take

    def spy(cluster: str, cpus: float):
        hosts.append(take(cluster, cpus) or train_host._new_host(cpus))
        return hosts[-1]

    def kill_once(step: int, total: int, loss: float) -> None:
        steps.append(step)
        if len(hosts) == 1 and step > 6:
            ray.kill(hosts[0])

    spec = dataclasses.replace(spec, epochs=30)
    whole = train(spec, PAIRS, tmp_path / "whole")
    monkeypatch.setattr(train_host, "_take", spy)
    broken = train(spec, PAIRS, tmp_path / "broken", on_progress=kill_once)
    assert len(hosts) == 2
    assert broken.losses == whole.losses
    assert weights(tmp_path / "broken") == weights(tmp_path / "whole")


def test_two_workers_train_as_one_does(ray_local, spec, tmp_path) -> None:
    pairs = [*PAIRS, ("Say nothing.", "a much longer answer than all the others")]
    spec = dataclasses.replace(spec, micro_batch_size=2)
    one = train(spec, pairs, tmp_path / "one")
    two = train(spec, pairs, tmp_path / "two", TrainPlacement(workers=2))
    assert (one.rows, one.steps, one.tokens) == (two.rows, two.steps, two.tokens)
    assert [loss for _, loss in one.losses] == pytest.approx([loss for _, loss in two.losses], abs=1e-4)
