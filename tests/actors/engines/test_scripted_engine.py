"""The scripted engine is a pure function of its request, with faults where they are scripted."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from actors.engine import ClassifyRequest, EngineSpec, GenerateRequest, LogprobRequest, RequestError, Sampling
from actors.engines.registry import create

REWRITE = "You are an instruction rewriter. Return only the new instruction.\n\nInstruction: Name a river."


def engine(model="teacher", max_length=200, **options):
    return create(EngineSpec("scripted", model, max_length=max_length, options=tuple(options.items())))


def ask(engine, text, sampling=Sampling(), seed=0):  # noqa: B008
    return asyncio.run(engine.generate(GenerateRequest("r", (("user", text),), sampling, seed)))


def test_replies_are_a_pure_function_of_the_request():
    warm = Sampling(temperature=1.0)
    assert ask(engine(), "Why?", warm, 3) == ask(engine(), "Why?", warm, 3)
    assert ask(engine(), "Why?") == ask(engine(), "Why?", seed=9)
    texts = [
        ask(engine(), "Why?", warm, 3),
        ask(engine(), "Why?", warm, 4),
        ask(engine(), "How?", warm, 3),
        ask(engine("other"), "Why?", warm, 3),
    ]
    assert len({got.text for got in texts}) == 4


def test_draws_stay_what_they_always_were():
    messages = (("system", "Be brief."), ("user", "Why 'so'? ü"))
    warm = asyncio.run(engine().generate(GenerateRequest("r", messages, Sampling(0.7, 0.9, 6), 3)))
    assert warm.text == "List music light winter young exactly"
    greedy = asyncio.run(engine().generate(GenerateRequest("r", messages, Sampling(max_tokens=6), 3)))
    assert greedy.text == "In readers and noon must noon"
    judged = asyncio.run(engine().classify(ClassifyRequest("c", "premise", "hypothesis")))
    assert judged.logits == (-1.1781535819120201,)


def test_rewriting_prompts_get_a_longer_instruction():
    text = ask(engine(), REWRITE).text
    assert text.startswith("Name a river. Also, ")
    assert 10 <= len(text.split()) - 4 <= 20


def test_prompts_with_a_final_heading_get_it_and_judges_say_not_equal():
    asked = REWRITE.replace("Return only", "End with #Finally Rewritten Instruction#: and return only")
    assert ask(engine(), asked).text.startswith("#Finally Rewritten Instruction#: Name a river. Also, ")
    assert ask(engine(), "Return only the label: equal or not equal.").text == "not equal"


def test_replies_are_cut_at_their_limit():
    got = ask(engine(), REWRITE, Sampling(max_tokens=5))
    assert (got.finish_reason, got.tokens_out) == ("length", 5)


def judge(text, **options):
    return asyncio.run(engine(**options).classify(ClassifyRequest("c", text)))


def test_a_classifier_draws_logits_that_depend_on_model_and_text():
    assert judge("an owl") == judge("an owl")
    assert judge("an owl").reward != judge("a cat").reward
    got = judge("an owl", labels="entailment,neutral,contradiction")
    assert (len(set(got.logits)), got.reward, got.tokens_in) == (3, None, 2)


def test_the_first_rule_that_holds_says_the_logits():
    rules = "owl=1,0,-1;cat=0,2,0;0,0,3.5"
    texts = {"an owl and a cat": (1, 0, -1), "a cat": (0, 2, 0), "a dog": (0, 0, 3.5)}
    for text, logits in texts.items():
        assert judge(text, labels="a,b,c", logits=rules, reward_index=2).logits == logits
    assert judge("a dog", labels="a,b,c", logits=rules, reward_index=2).reward == 3.5
    with pytest.raises(ValueError, match="one number for each of the 2 labels"):
        judge("a dog", labels="a,b", logits="1,2,3")


def test_echo_style_gives_the_prompt_back():
    assert ask(engine(style="echo"), "same words").text == "same words"


def test_scores_are_deterministic_and_have_one_value_per_word():
    request = LogprobRequest("s", "two words ", "and three more")
    got = asyncio.run(engine().logprobs(request))
    assert got == asyncio.run(engine().logprobs(request))
    assert (got.boundary, len(got.logprobs), got.logprobs[0]) == (2, 5, None)
    assert all(value < 0 for value in got.logprobs[1:])


def test_scripted_refusals_and_long_prompts_are_request_errors():
    with pytest.raises(RequestError, match="refused"):
        ask(engine(refuse="bomb"), "a bomb")
    with pytest.raises(RequestError, match="too_long"):
        ask(engine(max_length=3), "one two three")


def test_latency_overlaps_between_requests():
    slow = engine(latency=0.2)

    async def many():
        await asyncio.gather(*(slow.generate(GenerateRequest(str(i), (("user", "x"),), Sampling())) for i in range(50)))

    start = time.monotonic()
    asyncio.run(many())
    assert 0.2 <= time.monotonic() - start < 5  # one after the other: 10 s


def test_neither_torch_nor_transformers_is_imported():
    code = (
        "import sys, actors.engines.scripted_engine, actors.serving.pool; "
        "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_latency_changes_no_word() -> None:
    request = GenerateRequest("x", (("user", "Say something."),), Sampling(temperature=1.0), seed=3)
    quick, slow = engine(), engine(latency=0.01, latency_sigma=0.5)
    assert asyncio.run(quick.generate(request)) == asyncio.run(slow.generate(request))


def test_only_so_many_requests_are_served_at_a_time() -> None:
    bounded = engine(latency=0.1, slots=2)

    async def many():
        await asyncio.gather(
            *(bounded.generate(GenerateRequest(str(i), (("user", "x"),), Sampling())) for i in range(6))
        )

    for _ in range(2):  # a second event loop too
        start = time.monotonic()
        asyncio.run(many())
        assert time.monotonic() - start >= 0.3


def test_progress_runs_on_until_a_request_hangs_and_then_nothing_returns() -> None:
    stuck = engine(hang="stop here", latency=0.2)

    async def scene():
        before = stuck.progress()
        await asyncio.sleep(0.15)
        assert stuck.progress() != before
        early = asyncio.create_task(stuck.generate(GenerateRequest("a", (("user", "fine"),), Sampling())))
        hung = asyncio.create_task(stuck.generate(GenerateRequest("b", (("user", "now stop here"),), Sampling())))
        await asyncio.sleep(0)
        late = asyncio.create_task(stuck.logprobs(LogprobRequest("c", "", "also fine")))
        before = stuck.progress()
        done, pending = await asyncio.wait([early, hung, late], timeout=0.5)
        assert not done and len(pending) == 3
        assert stuck.progress() == before

    asyncio.run(scene())


def test_what_is_held_is_answered_once_the_file_is_there(tmp_path: Path) -> None:
    holding = engine(hold="later", release=str(tmp_path / "go"))

    async def scene() -> None:
        held = asyncio.create_task(holding.generate(GenerateRequest("a", (("user", "later"),), Sampling())))
        await holding.generate(GenerateRequest("b", (("user", "now"),), Sampling()))
        assert not held.done()
        (tmp_path / "go").touch()
        assert (await held).id == "a"

    asyncio.run(scene())


def test_loads_can_be_slow_or_fail_or_kill_the_process() -> None:
    start = time.monotonic()
    engine(load_seconds=0.2)
    assert time.monotonic() - start >= 0.2
    with pytest.raises(RuntimeError, match="scripted to fail"):
        engine(fail_load=True)
    code = (
        "from actors.engine import EngineSpec\nfrom actors.engines import create\n"
        "create(EngineSpec('scripted', 'm', options=(('die_load', True),)))\nprint('alive')"
    )
    died = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (died.returncode, died.stdout) == (1, "")


def test_a_sleeping_engine_takes_no_requests() -> None:
    async def scene():
        sleepy = engine()
        await sleepy.sleep()
        with pytest.raises(RuntimeError, match="asleep"):
            await sleepy.logprobs(LogprobRequest("s", "", "a b"))
        await sleepy.wake()
        assert (await sleepy.logprobs(LogprobRequest("s", "", "a b"))).logprobs[0] is None

    asyncio.run(scene())


def test_logprobs_of_a_reply_come_when_asked_for_and_change_no_word() -> None:
    plain = GenerateRequest("x", (("user", "Say something."),), Sampling(temperature=1.0), seed=3)
    asked = replace(plain, logprobs=True)
    without, with_logprobs = asyncio.run(engine().generate(plain)), asyncio.run(engine().generate(asked))
    assert without.logprobs is None and len(with_logprobs.logprobs) == with_logprobs.tokens_out
    assert replace(with_logprobs, logprobs=None) == without


@pytest.mark.parametrize("extra", [{"schema": "{}"}, {"adapter": "folder"}])
def test_what_the_engine_has_not_is_unsupported(extra) -> None:
    request = replace(GenerateRequest("x", (("user", "hi"),), Sampling()), **extra)
    with pytest.raises(RequestError, match="unsupported"):
        asyncio.run(engine().generate(request))
