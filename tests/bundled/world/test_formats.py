"""Formats of answers: wordings read back, functions check what they say, relations follow from the checks."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

import studies
from bundled.world.formats import FORMATS, KINDS, Format, draw_format, format_checked_by, parse_format
from bundled.world.lexicon import WORDS


def answers(count: int) -> list[str]:
    rng = random.Random(3)
    return [" ".join(rng.sample(WORDS, rng.randrange(1, 6))) for _ in range(count)]


def function(source: str) -> Callable[[str], bool]:
    names: dict[str, Callable[[str], bool]] = {}
    exec(source, names)
    return names["evaluate"]


def test_every_wording_reads_back_as_its_format() -> None:
    assert len(FORMATS) > 300
    assert all(parse_format(text) == one for one in FORMATS for text in (*one.renderings(), one.renderings()[0][:-1]))
    assert parse_format("Use the word zebra.") is None


def test_every_function_belongs_to_one_format() -> None:
    assert all(format_checked_by(source) == one for one in FORMATS for source in one.sources())
    assert len({source for one in FORMATS for source in one.sources()}) == sum(len(one.sources()) for one in FORMATS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_answer_passes_every_function_of_its_format(kind: str) -> None:
    rng = random.Random(kind)
    for answer in answers(60):
        wanted = Format(kind, rng.choice(KINDS[kind].values))
        if wanted.value not in answer.split():
            text = wanted.apply(answer)
            assert answer in text and wanted.holds(text)
            assert all(function(source)(text) is True for source in wanted.sources())


def test_an_answer_of_another_value_fails() -> None:
    assert not Format("end", "fox").holds("cow plum")
    assert not Format("start", "fox").holds("cow fox")
    assert not Format("twice", "fox").holds("cow fox")
    assert not Format("without", "fox").holds("fox cow")
    assert not Format("most", "5").holds("a b c d e f")
    assert not Format("frame", "stars").holds("( fox )")
    assert not Format("stop", "colon").holds("fox .")
    assert not Format("end", "fox").holds("")


@pytest.mark.parametrize(
    ("premise", "hypothesis", "relation"),
    [
        ("End with the word fox.", "The last word is fox.", "entailment"),
        ("End with the word fox.", "Use the word fox.", "entailment"),
        ("Use the word fox.", "End with the word fox.", "neutral"),
        ("Use 5 words or less.", "Use 8 words or less.", "entailment"),
        ("Use 8 words or less.", "Use 5 words or less.", "neutral"),
        ("End with the word fox.", "End with the word cow.", "contradiction"),
        ("Start and end with the word fox.", "Start with the word cow.", "contradiction"),
        ("Use the word fox.", "Do not use the word fox.", "contradiction"),
        ("Put the answer in stars.", "Put the answer in brackets.", "contradiction"),
        ("Use the word fox.", "Use the word cow.", "neutral"),
        ("Start with the word fox.", "End with the word fox.", "neutral"),
    ],
)
def test_relations_of_formats(premise: str, hypothesis: str, relation: str) -> None:
    first, second = parse_format(premise), parse_format(hypothesis)
    assert first is not None and second is not None
    assert first.relation(second) == relation


def test_what_follows_holds_wherever_the_premise_does() -> None:
    rng = random.Random(4)
    for answer in answers(300):
        wanted = draw_format(rng)
        text = wanted.apply(answer)
        if wanted.holds(text):
            assert all(one.holds(text) for one in wanted.weaker())


def test_what_contradicts_never_holds_together() -> None:
    rng = random.Random(5)
    for answer in answers(300):
        wanted, other = draw_format(rng), draw_format(rng)
        if wanted.relation(other) == "contradiction":
            assert not any(wanted.holds(text) and other.holds(text) for text in (wanted.apply(answer), answer))


def test_the_seed_formats_of_studies_are_of_the_world_and_of_all_kinds() -> None:
    lines = (Path(studies.__file__).parent / "formats.txt").read_text().splitlines()
    found = [parse_format(line) for line in lines]
    assert len(lines) == len(set(found)) == 12
    assert {one.kind for one in found if one} == set(KINDS)
