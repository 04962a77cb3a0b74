"""Gold replies are what the project's own parsers accept, faults show as failures, and nothing held out is drawn."""

import random
import re

import pytest

import prompts
from benchmarks.support.exams import EXAMS
from bundled import auto_evol_corpus as auto_corpus
from bundled import autoif_corpus, classifiers, tokenizer
from bundled.auto_evol_corpus import FAULTS, SENTENCES
from bundled.corpus import LATE_STAGE, Draw, chat_row
from bundled.family import RowEncoder
from bundled.make import METHODS
from bundled.tokenizer import CONTEXT
from bundled.world import correct
from bundled.world.formats import parse_format
from bundled.world.generate import is_held_out
from bundled.world.grammar import parse
from pipelines.operators.evolve.failure_detector import failure_class

CONVERSATIONS = tuple(METHODS)


@pytest.fixture(scope="module")
def encoder() -> RowEncoder:
    return RowEncoder(tokenizer.build())


@pytest.mark.parametrize("name", EXAMS)
def test_a_gold_reply_can_be_read_by_the_parser_of_its_prompt(name: str) -> None:
    rng = random.Random(name)
    for _ in range(40):
        prompt, gold = EXAMS[name].draw(rng, LATE_STAGE)
        assert EXAMS[name].grade(prompt, gold, gold)


@pytest.mark.parametrize(
    "name", ["answer", "equality", "evol_auto, cured", "auto_evol_analyze", "auto_evol_optimize", "autoif_augment"]
)
def test_a_gold_reply_is_right(name: str) -> None:
    rng = random.Random(name)
    for _ in range(40):
        prompt, gold = EXAMS[name].draw(rng, LATE_STAGE)
        grade = EXAMS[name].grade(prompt, gold, gold)
        assert grade and all(grade)


@pytest.mark.parametrize("draw", CONVERSATIONS)
def test_a_conversation_fits_into_the_context_and_states_no_held_out_list(draw: Draw, encoder: RowEncoder) -> None:
    rng = random.Random(6)
    for _ in range(60):
        prompt, reply = draw(rng, LATE_STAGE)
        assert len(chat_row(encoder, prompt, reply).ids) <= CONTEXT
        text = f"{prompt}\n{reply}"
        stated = [parse(found) for found in re.findall(r"[A-Z][a-z ]+: [a-z0-9 ]+\.(?: [A-Z][a-z ]+\.)*", text)]
        assert not any(task and is_held_out(task.arguments) for task in stated)


def test_an_answer_to_a_faulty_evolution_fails_and_the_cure_prevents_the_fault() -> None:
    rng = random.Random(7)
    for fault in FAULTS:
        assert failure_class(fault.answer, "paper") and failure_class(fault.answer, "authors")
    for _ in range(200):
        prompt, reply = auto_corpus.auto_turn_with([fault.cures[0] for fault in FAULTS], rng, LATE_STAGE)
        assert parse(prompt.rpartition("Instruction: ")[2]) and parse(reply.rpartition(":\n")[2])


def test_the_method_as_it_is_fails_with_its_faults_only() -> None:
    rng = random.Random(8)
    kinds = {True: set[str](), False: set[str]()}
    for _ in range(400):
        prompt, reply = auto_corpus.auto_turn_with([], rng, LATE_STAGE)
        task = parse(prompt.rpartition("Instruction: ")[2])
        assert task is not None
        kinds[parse(reply.rpartition(":\n")[2]) is None].add(task.kind)
    assert kinds[True] == {fault.kind for fault in FAULTS} and not kinds[True] & kinds[False]


def test_a_better_method_is_still_the_method() -> None:
    assert auto_corpus.method_with_sentences([]) == prompts.get("evol_auto").text
    longer = auto_corpus.method_with_sentences(SENTENCES[:2])
    assert longer.replace(
        "".join(f"\n\n{sentence}" for sentence in SENTENCES[:2]), ""
    ) == auto_corpus.method_with_sentences([])


def test_a_wrong_answer_is_wrong() -> None:
    rng = random.Random(9)
    for _ in range(300):
        pair = classifiers.draw_preference(rng)
        assert correct(pair.instruction, pair.chosen) and not correct(pair.instruction, pair.rejected)


def test_pairs_of_formats_are_of_all_relations_and_split() -> None:
    rng = random.Random(10)
    pairs = [classifiers.draw_pair(rng, held_out) for held_out in (False, True) for _ in range(100)]
    assert {pair.relation for pair in pairs} == set(classifiers.RELATIONS)
    assert [is_held_out((pair.premise, pair.hypothesis)) for pair in pairs] == [False] * 100 + [True] * 100


def test_a_changed_format_is_another_one_that_is_alike() -> None:
    rng = random.Random(11)
    wanted = parse_format("End with the word fox.")
    assert wanted is not None
    others = [autoif_corpus.change_format(wanted, rng) for _ in range(50)]
    assert wanted not in others
    assert all(one.kind == wanted.kind or one.value == wanted.value for one in others)
