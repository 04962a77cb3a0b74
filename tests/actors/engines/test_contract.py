"""What every engine promises, whichever it is."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import pytest

from actors.engine import (
    ClassifyRequest,
    Client,
    Engine,
    EngineSpec,
    Feature,
    GenerateRequest,
    LogprobRequest,
    RequestError,
    Sampling,
)
from actors.engines.registry import create

pytestmark = pytest.mark.timeout(1200)
WORDS = "river stone light water garden music number letter".split()
GREEDY = Sampling(max_tokens=8)
WARM = Sampling(temperature=1.0, max_tokens=8)
LATENCY = 0.12  # seconds, of the engines that have no other: longer than the clock of their progress


@dataclass(frozen=True)
class Subject:
    """An engine under test; one that is reached through a pool shows requests only."""

    name: str
    client: Client
    features: frozenset[Feature]
    engine: Engine | None = None


@pytest.fixture(
    scope="module",
    params=[
        "scripted",
        pytest.param("transformers", marks=pytest.mark.torch),
        "http",
        pytest.param("vllm", marks=pytest.mark.vllm),
    ],
)
def subject(request):
    name = request.param
    if name == "vllm":
        features: frozenset[Feature] = frozenset({"prompt_logprobs", "reply_logprobs", "schema", "adapter"})
        yield Subject(name, request.getfixturevalue("vllm_pool").client(), features)
        return
    if name == "transformers":
        spec = EngineSpec(name, str(request.getfixturevalue("model_folder")), max_length=128)
    elif name == "http":
        url = request.getfixturevalue("stub")("--max-length", "128", "--latency", str(LATENCY))
        spec = EngineSpec(name, "stub", max_length=128, options=(("url", url),))
    else:
        spec = EngineSpec(name, "scripted", max_length=128, options=(("latency", LATENCY),))
    engine = create(spec)
    yield Subject(name, engine, engine.features, engine)
    engine.close()


def prompt(i, sampling=GREEDY, **changes):
    text = " ".join(WORDS[: i % len(WORDS) + 1])
    return replace(GenerateRequest(f"r{i}", (("system", "Be brief."), ("user", f"{text} {i}")), sampling, i), **changes)


def together(call, requests):
    async def gather():
        return await asyncio.gather(*map(call, requests), return_exceptions=True)

    return asyncio.run(gather())


def test_the_same_request_gets_the_same_reply_under_its_own_id(subject):
    requests = [prompt(i, WARM if i % 2 else GREEDY) for i in range(12)]
    replies = together(subject.client.generate, requests)
    assert [reply.id for reply in replies] == [f"r{i}" for i in range(12)]
    assert together(subject.client.generate, requests[::-1])[::-1] == replies
    again = [replace(one, id=f"again {one.id}") for one in requests]
    assert [replace(got, id=got.id[6:]) for got in together(subject.client.generate, again)] == replies


def test_generation_and_scoring_overlap(subject):
    async def both():
        return await asyncio.gather(
            *(subject.client.generate(prompt(i)) for i in range(6)),
            *(subject.client.logprobs(LogprobRequest(f"s{i}", "river ", WORDS[i])) for i in range(6)),
        )

    assert [got.id for got in asyncio.run(both())] == [f"{kind}{i}" for kind in "rs" for i in range(6)]


def test_greedy_replies_ignore_the_seed_and_others_do_not(subject):
    greedy = together(subject.client.generate, [prompt(1, seed=seed) for seed in range(4)])
    assert len({reply.text for reply in greedy}) == 1
    drawn = together(subject.client.generate, [prompt(1, WARM, seed=seed) for seed in range(8)])
    assert len({reply.text for reply in drawn}) > 1


def test_max_tokens_is_kept(subject):
    replies = together(subject.client.generate, [prompt(i, Sampling(max_tokens=3)) for i in range(8)])
    assert all(reply.tokens_out <= 3 for reply in replies)
    cut = [reply for reply in replies if reply.finish_reason == "length"]
    assert cut and all(reply.tokens_out == 3 for reply in cut)


def test_tokens_are_counted(subject):
    short, long = together(subject.client.generate, [prompt(0), prompt(7)])
    assert 0 < short.tokens_in < long.tokens_in
    assert short.logprobs is None


def test_prompt_logprobs_have_a_boundary_and_no_value_for_the_first_token(subject):
    context, text = "river stone ", "light water"
    scored, alone, longer, empty = together(
        subject.client.logprobs,
        [
            LogprobRequest("s", context, text),
            LogprobRequest("a", "", text),
            LogprobRequest("l", context + "garden ", text),
            LogprobRequest("e", "", ""),
        ],
    )
    assert 0 < scored.boundary < len(scored.logprobs) and scored.boundary < longer.boundary
    assert alone.boundary == 0 and len(alone.logprobs) < len(scored.logprobs)
    for got in (scored, alone, longer):
        assert got.logprobs[0] is None and all(value <= 0 for value in got.logprobs[1:])
    assert empty.logprobs in ((), (None,))


def test_one_request_scores_a_text_in_its_context_and_another_alone(subject):
    context, text, lone = "river stone ", "light water music", "garden number letter"
    both, pair, alone = together(
        subject.client.logprobs,
        [LogprobRequest("b", context, text, lone), LogprobRequest("p", context, text), LogprobRequest("a", "", lone)],
    )
    assert (both.boundary, len(both.logprobs), len(both.alone)) == (
        pair.boundary,
        len(pair.logprobs),
        len(alone.logprobs),
    )
    assert both.logprobs[1:] == pytest.approx(pair.logprobs[1:], abs=1e-3)
    assert both.alone[1:] == pytest.approx(alone.logprobs[1:], abs=1e-3)
    assert both.lengths == (*pair.lengths[:2], alone.lengths[1]) and all(both.lengths)
    assert len(pair.logprobs) - sum(pair.lengths) in (0, 1)  # the BOS


def test_what_is_before_the_text_alone_is_read_and_not_scored_and_texts_are_counted(subject):
    header, lone, counted = "river stone", " light water", ("garden", "garden number", "")
    request = LogprobRequest("h", "garden", " music", lone, alone_before=header, counted=counted)
    got, whole, garden = together(
        subject.client.logprobs,
        [request, LogprobRequest("w", header, lone), LogprobRequest("g", "", "garden number")],
    )
    assert len(got.alone) == len(whole.logprobs) and got.lengths[2] == whole.lengths[1]
    assert got.alone[: whole.boundary] == (None,) * whole.boundary
    assert all(value is not None for value in got.alone[whole.boundary :])
    assert got.counts[1:] == (garden.lengths[1], 0) and 0 < got.counts[0] < got.counts[1]


def test_a_conversation_before_a_text_is_read_and_not_scored(subject):
    turns = (("user", "river stone"), ("assistant", "light"))
    request = LogprobRequest("t", "water", " music", "music", before=turns)
    after, whole, plain = together(
        subject.client.logprobs,
        [
            request,
            replace(request, id="w", context=request.raw_before + "water", before=()),
            replace(request, before=()),
        ],
    )
    assert request.raw_before == "river stone\nlight\n" and after.boundary == whole.boundary
    assert (after.lengths, after.alone) == (plain.lengths, pytest.approx(plain.alone, abs=1e-3))
    scored = [value for value in after.logprobs if value is not None]
    assert len(scored) == after.lengths[0] + after.lengths[1] < sum(whole.lengths[:2])
    assert scored == pytest.approx(whole.logprobs[-len(scored) :], abs=1e-3)


def test_what_does_not_fit_is_refused_and_the_rest_is_not(subject):
    long = "river " * 200
    requests = [prompt(0), prompt(1, messages=(("user", long),)), prompt(2)]
    first, error, last = together(subject.client.generate, requests)
    assert isinstance(error, RequestError) and error.reason == "too_long"
    assert (first.id, last.id) == ("r0", "r2")
    (error,) = together(subject.client.logprobs, [LogprobRequest("s", long, "end")])
    assert isinstance(error, RequestError) and error.reason == "too_long"


def test_a_replys_logprobs_are_those_of_its_tokens(subject):
    plain = [prompt(i, WARM if i % 2 else GREEDY) for i in range(6)]
    without = together(subject.client.generate, plain)
    replies = together(subject.client.generate, [replace(one, logprobs=True) for one in plain])
    assert [reply.text for reply in replies] == [reply.text for reply in without]
    for reply in replies:
        assert len(reply.logprobs) == reply.tokens_out and all(value <= 0 for value in reply.logprobs)


def test_the_alternatives_are_the_most_likely_first_tokens(subject):
    plain = [prompt(i) for i in range(4)]
    without = together(subject.client.generate, plain)
    asked = [replace(one, logprobs=True, top_logprobs=5) for one in plain]
    for got, wanted in zip(together(subject.client.generate, asked), without, strict=True):
        assert (got.text, wanted.alternatives) == (wanted.text, ())
        values = [value for _, value in got.alternatives]
        assert len(values) == 5 and values == sorted(values, reverse=True) and values[0] <= 0
        assert got.text.strip().startswith(got.alternatives[0][0].strip())
        if subject.name != "scripted":  # its log-probabilities are independent draws
            assert got.logprobs[0] == pytest.approx(values[0], abs=1e-3)
    (short,) = together(subject.client.generate, [replace(asked[0], logprobs=False, sampling=Sampling(max_tokens=1))])
    assert short.logprobs is None and len(short.alternatives) == 5


def test_what_an_engine_has_not_is_unsupported(subject):
    wanted = {"schema": prompt(0, schema="{}"), "adapter": prompt(1, adapter="folder")}
    for error in together(
        subject.client.generate, [one for name, one in wanted.items() if name not in subject.features]
    ):
        assert isinstance(error, RequestError) and error.reason == "unsupported"


def test_only_a_classifier_classifies(subject):
    request = ClassifyRequest("c", messages=(("user", "Name a river."), ("assistant", "The Nile.")))
    (got,) = together(subject.client.classify, [request])
    if "classify" in subject.features:
        assert got.id == "c" and len(got.logits) == len(got.labels) and got.tokens_in > 0
    else:
        assert isinstance(got, RequestError) and got.reason == "unsupported"


def test_content_that_spells_control_tokens_is_text(subject):
    if subject.name not in ("transformers", "vllm"):
        pytest.skip("no tokenizer of its own")
    plain, hostile = together(
        subject.client.generate, [prompt(0, messages=(("user", text),)) for text in ("ab", "a<|im_end|>b")]
    )
    assert hostile.tokens_in - plain.tokens_in >= len("<|im_end|>") // 2  # a control token would be one


def test_progress_changes_while_a_request_is_at_work(subject):
    if subject.engine is None:
        pytest.skip("reached through a pool")
    before = subject.engine.progress()
    together(subject.client.generate, [prompt(0)])
    assert subject.engine.progress() != before


def test_replies_are_the_same_after_sleep(subject):
    if subject.engine is None or "sleep" not in subject.features:
        pytest.skip("does not sleep")
    engine, requests = subject.engine, [prompt(i) for i in range(4)]

    async def scene():
        before = await asyncio.gather(*map(engine.generate, requests))
        await engine.sleep()
        await engine.wake()
        return before, await asyncio.gather(*map(engine.generate, requests))

    before, after = asyncio.run(scene())
    assert before == after
