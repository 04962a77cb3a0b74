"""Students that share their base on the transformers engine answer as they do when they are merged into it."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, Qwen2MoeConfig, Qwen2MoeForCausalLM

from actors.engine import EngineSpec, GenerateRequest, LoadError, LogprobRequest, RequestError, Sampling
from actors.engines.registry import create
from actors.inference.adapters.lora_layers import GROUP_ROWS, Selection, stacked

pytestmark = pytest.mark.torch
WORDS = ["river", "stone", "light", "water", "garden", "music", "number"]
TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}!{% endif %}"


def student(base: Path, folder: Path, seed: int, tokenizer, **config) -> Path:
    """A student as a training saves it: merged weights, the adapter beside them, and a tokenizer."""
    torch.manual_seed(seed)
    targets = ["q_proj", "v_proj", "down_proj"] if seed % 2 else ["q_proj", "o_proj"]
    settings = {"r": 2 + 2 * seed, "target_modules": targets, "init_lora_weights": False} | config
    tuned = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(**settings))
    embeddings = not {"embed_tokens", "lm_head"}.isdisjoint(settings["target_modules"])
    tuned.save_pretrained(folder / "adapter", save_embedding_layers=embeddings)
    tuned.merge_and_unload().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def students(model_folder, tokenizer, tmp_path_factory) -> list[Path]:
    """Three students of one base, with different ranks and layers; the last one has a template of its own."""
    folder = tmp_path_factory.mktemp("students")
    found = [student(model_folder, folder / str(seed), seed, tokenizer, use_rslora=seed == 1) for seed in range(3)]
    (found[2] / "chat_template.jinja").write_text(TEMPLATE)
    return found


@pytest.fixture(scope="module")
def engine(model_folder):
    options = (("lora", True), ("max_loras", 3))
    engine = create(EngineSpec("transformers", str(model_folder), max_length=128, options=options))
    yield engine
    engine.close()


def together(*calls):
    async def gather():
        return await asyncio.gather(*calls, return_exceptions=True)

    return asyncio.run(gather())


def generations(adapter=None):
    sampling = [Sampling(max_tokens=12), Sampling(0.8, 0.9, 12)]
    return [
        GenerateRequest(f"r{i}", (("user", " ".join(WORDS[: i + 1])),), sampling[i % 2], i, True, adapter=adapter)
        for i in range(6)
    ]


def scorings(adapter=None):
    raw = [LogprobRequest(f"s{i}", " ".join(WORDS[:i]), " answer " * (1 + i), adapter=adapter) for i in range(4)]
    return [*raw, LogprobRequest("chat", "river stone", "light", chat=True, adapter=adapter)]


def asked(engine, adapter=None):
    """All requests of one student, sent at once."""
    return [*map(engine.generate, generations(adapter)), *map(engine.logprobs, scorings(adapter))]


def assert_equal(ours, merged) -> None:
    for got, wanted in zip(ours[:6], merged[:6], strict=True):
        assert replace(got, logprobs=None) == replace(wanted, logprobs=None)
        assert got.logprobs == pytest.approx(wanted.logprobs, abs=1e-4)
    for got, wanted in zip(ours[6:], merged[6:], strict=True):
        assert got.boundary == wanted.boundary and len(got.logprobs) == len(wanted.logprobs)
        known = [value for value in got.logprobs if value is not None]
        assert known == pytest.approx([value for value in wanted.logprobs if value is not None], abs=1e-4)


def merged_answers(folder):
    engine = create(EngineSpec("transformers", str(folder), max_length=128))
    try:
        return together(*asked(engine))
    finally:
        engine.close()


def test_students_beside_each_other_answer_as_if_they_were_merged(engine, students, model_folder) -> None:
    adapters = [*map(str, students), None]
    answers = together(*(call for adapter in adapters for call in asked(engine, adapter)))
    answers = [answers[start : start + 11] for start in range(0, len(answers), 11)]
    for ours, folder in zip(answers, [*students, model_folder], strict=True):
        assert_equal(ours, merged_answers(folder))
    assert len({answer[0].text for answer in answers}) == 4  # every student is another one


def test_adapters_come_and_go_and_survive_sleep(model_folder, students) -> None:
    options = (("lora", True), ("max_loras", 1))
    engine = create(EngineSpec("transformers", str(model_folder), max_length=128, options=options))
    alone = [together(*asked(engine, str(folder))) for folder in students]
    mixed = together(*(call for folder in students for call in asked(engine, str(folder))))
    for number, wanted in enumerate(alone):
        assert_equal(mixed[11 * number :][:11], wanted)
    together(engine.sleep())
    together(engine.wake())
    assert_equal(together(*asked(engine, str(students[2]))), alone[2])
    engine.close()


def test_a_bad_adapter_fails_its_own_requests_only(engine, students, tmp_path) -> None:
    def copy(name: str) -> Path:
        return Path(shutil.copytree(students[0], tmp_path / name))

    file = "adapter/adapter_model.safetensors"
    weights = load_file(students[0] / file)
    first = sorted(weights)[0]
    foreign = {first.replace("self_attn", "elsewhere"): weights[first].clone()}
    damaged = {
        "truncated": lambda path: (path / file).write_bytes((path / file).read_bytes()[:-10]),
        "lacking": lambda path: save_file({k: v for k, v in weights.items() if k != first}, path / file),
        "foreign": lambda path: save_file(weights | foreign, path / file),
        "diverged": lambda path: save_file({k: v * torch.nan for k, v in weights.items()}, path / file),
        "another size": lambda path: save_file({k: v.repeat(1, 2) for k, v in weights.items()}, path / file),
    }
    for name, damage in damaged.items():
        damage(copy(name))
    good = together(*asked(engine, str(students[0])))
    bad = [call for name in damaged for call in asked(engine, str(tmp_path / name))]
    answers = together(*bad, *asked(engine, str(students[0])))
    assert_equal(answers[-11:], good)
    for number, name in enumerate(damaged):
        for error in answers[11 * number :][:11]:
            assert isinstance(error, LoadError) and error.model.endswith(name)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"target_modules": ["q_proj", "lm_head"]}, "lm_head"),
        ({"target_modules": ["q_proj", "embed_tokens"]}, "embed_tokens"),
        ({"trainable_token_indices": [1, 2]}, "trainable_token_indices"),
        ({"bias": "lora_only"}, "bias"),
        ({"rank_pattern": {"o_proj": 3}}, "rank_pattern"),
    ],
)
def test_what_is_more_than_a_low_rank_update_is_refused(engine, model_folder, tokenizer, tmp_path, config, reason):
    folder = student(model_folder, tmp_path / "student", 0, tokenizer, **config)
    (error,) = together(engine.generate(generations(str(folder))[0]))
    assert isinstance(error, LoadError) and reason in error.detail


def test_an_engine_without_the_option_takes_no_adapters(model_folder, students) -> None:
    engine = create(EngineSpec("transformers", str(model_folder), max_length=128))
    errors = together(engine.generate(generations(str(students[0]))[0]), engine.logprobs(scorings(str(students[0]))[0]))
    engine.close()
    assert [error.reason for error in errors if isinstance(error, RequestError)] == ["unsupported"] * 2


def test_layers_without_rows_are_given_one_adapter_at_a_time(tokenizer, tmp_path) -> None:
    torch.manual_seed(0)
    base = tmp_path / "base"
    config = Qwen2MoeConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        moe_intermediate_size=16,
        shared_expert_intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        num_experts=4,
        num_experts_per_tok=2,
        initializer_range=0.2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    Qwen2MoeForCausalLM(config).save_pretrained(base)
    tokenizer.save_pretrained(base)
    targets = ["q_proj", "shared_expert.up_proj"]  # the shared expert reads the tokens of all rows as one list
    folders = [student(base, tmp_path / str(seed), seed, tokenizer, target_modules=targets) for seed in range(2)]
    engine = create(EngineSpec("transformers", str(base), max_length=128, options=(("lora", True),)))
    answers = together(*(call for folder in folders for call in asked(engine, str(folder))))
    engine.close()
    for number, folder in enumerate(folders):
        assert_equal(answers[11 * number :][:11], merged_answers(folder))


@pytest.mark.parametrize("rows", [1, GROUP_ROWS, 2 * GROUP_ROWS], ids=["stacked", "mixed", "by group"])
def test_single_tokens_of_few_and_of_many_rows_get_the_updates_of_their_own_adapter(rows):
    generator = torch.Generator().manual_seed(0)
    updates = [(torch.randn(r, 6, generator=generator), torch.randn(r, 5, generator=generator)) for r in (2, 4)]
    groups = [(rows, updates[0]), (3, None), (rows, updates[1])]
    selection = Selection(groups, stacked(groups, {}))
    x = torch.randn(2 * rows + 3, 1, 6, generator=generator)
    y = torch.zeros(len(x), 1, 5)
    selection.add_to(y, x)
    first, last = (part @ down.T @ up for part, (down, up) in zip((x[:rows], x[-rows:]), updates, strict=True))
    wanted = [first, torch.zeros(3, 1, 5), last]
    torch.testing.assert_close(y, torch.cat(wanted))
