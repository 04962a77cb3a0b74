"""What is scored of a request, as token ids."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tokenizers import Tokenizer, processors
from transformers import PreTrainedTokenizerFast

from actors.engine import LogprobRequest, RequestError
from actors.inference.chat_template import encode_example
from actors.inference.scored_texts import ScoredText, to_scored_texts

PAIR = LogprobRequest("x", "river stone", "\nlight", "light")
FRAME = "### Q:\n{}\n\n### A:\n"
TEMPLATE = (
    "{% for m in messages %}{{ ('### Q:\n' if m['role'] == 'user' else '### A:\n') + m['content'] + '\n\n' }}"
    "{% endfor %}{% if add_generation_prompt %}### A:\n{% endif %}"
)


def shown(tokenizer: Any, passage: ScoredText) -> tuple[str, str]:
    """The content before and behind the boundary."""
    kept = [token if own else None for token, own in zip(passage.ids, passage.content, strict=True)]
    parts = kept[: passage.boundary], kept[passage.boundary :]
    return tuple(tokenizer.decode([token for token in part if token is not None]) for part in parts)  # type: ignore[return-value]


def test_raw_text_begins_as_the_tokenizer_has_it(tokenizer: Any) -> None:
    pair, alone = to_scored_texts(tokenizer, PAIR)
    assert list(pair.ids) == tokenizer("river stone\nlight")["input_ids"]
    assert pair.boundary == len(tokenizer("river stone")["input_ids"])
    assert list(alone.ids) == tokenizer("light")["input_ids"] and alone.boundary == 0
    assert pair.content == (False, *[True] * (len(pair.ids) - 1))


@pytest.mark.parametrize("chat", [False, True])
def test_a_bos_is_put_there_or_taken_away(tokenizer: Any, chat: bool) -> None:
    always, auto, never = (
        to_scored_texts(tokenizer, LogprobRequest("x", "river", " stone", "stone", chat, bos))
        for bos in ("always", "auto", "never")
    )
    assert always == auto and all(passage.ids[0] == tokenizer.bos_token_id for passage in auto)
    for with_it, without in zip(auto, never, strict=True):
        assert (with_it.ids[1:], with_it.content[1:]) == (without.ids, without.content)
        assert without.boundary == max(0, with_it.boundary - 1)


def test_a_tokenizer_without_bos_can_not_put_one(tokenizer: Any) -> None:
    without = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(tokenizer.backend_tokenizer.to_str()))
    without.backend_tokenizer.post_processor = processors.Sequence([])  # type: ignore[attr-defined]
    with pytest.raises(RequestError, match="has no BOS"):
        to_scored_texts(without, LogprobRequest("x", "", "river", bos="always"))


@pytest.mark.parametrize("template", [None, TEMPLATE])
@pytest.mark.parametrize("question", ["river stone", "light", "### A:", "<|end|>", ""])
def test_of_a_chat_only_the_contents_count(
    tokenizer: Any, template: str | None, question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if template:
        monkeypatch.setattr(tokenizer, "chat_template", template)
    pair, alone = to_scored_texts(tokenizer, LogprobRequest("x", question, "light water", "light water", chat=True))
    assert tuple(text.strip() for text in shown(tokenizer, pair)) == (question, "light water")
    assert tuple(text.strip() for text in shown(tokenizer, alone)) == ("", "light water")
    opening = tokenizer.decode([token for token, own in zip(alone.ids, alone.content, strict=True) if not own])
    assert opening.strip().endswith("### A:" if template else "assistant")
    assert "Q" not in opening and "user" not in opening


def test_without_a_lone_text_there_is_one_passage(tokenizer: Any) -> None:
    assert len(to_scored_texts(tokenizer, LogprobRequest("x", "a", "b"))) == 1
    assert to_scored_texts(tokenizer, LogprobRequest("x", "", "", bos="never")) == [ScoredText((), 0, ())]


BEFORE = (("system", "Be brief."), ("user", "light"), ("assistant", "water"))


@pytest.mark.parametrize("bos", ["auto", "always", "never"])
def test_an_earlier_conversation_is_read_before_raw_text_and_does_not_count(tokenizer: Any, bos: Any) -> None:
    request = replace(PAIR, bos=bos, before=BEFORE)
    pair, alone = to_scored_texts(tokenizer, request)
    whole = tokenizer("Be brief.\nlight\nwater\nriver stone\nlight")["input_ids"]
    assert list(pair.ids) == (whole[1:] if bos == "never" else whole)
    assert shown(tokenizer, pair) == ("river stone", "\nlight")
    assert alone == to_scored_texts(tokenizer, replace(request, before=()))[1]


@pytest.mark.parametrize("template", [None, TEMPLATE])
@pytest.mark.parametrize("question", ["river stone", "light", "water", "", "<|im_end|>"])
def test_an_earlier_conversation_is_read_before_a_turn_and_does_not_count(
    tokenizer: Any, template: str | None, question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if template:
        monkeypatch.setattr(tokenizer, "chat_template", template)
    request = LogprobRequest("x", question, "light water", "light water", chat=True, before=BEFORE)
    pair, alone = to_scored_texts(tokenizer, request)
    ids, labels = encode_example(tokenizer, (*BEFORE, ("user", question), ("assistant", "light water")))
    assert list(pair.ids) == ids[:-1] and pair.boundary == sum(label < 0 for label in labels)
    assert tuple(text.strip() for text in shown(tokenizer, pair)) == (question, "light water")
    assert alone == to_scored_texts(tokenizer, replace(request, before=()))[1]
