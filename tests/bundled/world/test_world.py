"""The world is closed: every instruction reads back as its task, is graded exactly, and splits never share a list."""

import random

import pytest

from bundled import world
from bundled.world.evolution import IN_DEPTH_METHODS
from bundled.world.generate import KINDS, draw_task, is_held_out
from bundled.world.grammar import parse
from bundled.world.lexicon import NUMBERS, WORDS
from bundled.world.tasks import HEADS, MAX_LEVEL, SENTENCES, Task


def drawn(count: int, levels: int = MAX_LEVEL + 1) -> list[tuple[Task, str]]:
    rng = random.Random(7)
    tasks = [draw_task(rng, index % levels) for index in range(count)]
    return [(task, task.render(rng)) for task in tasks]


def test_reading_an_instruction_inverts_rendering_it() -> None:
    assert all(parse(instruction) == task for task, instruction in drawn(3000))


def test_words_headings_and_sentences_are_unambiguous() -> None:
    assert len(set(WORDS) | set(NUMBERS)) == len(WORDS) + len(NUMBERS)
    phrases = [phrase for variants in (*HEADS.values(), *SENTENCES.values()) for phrase in variants]
    assert len(set(phrases)) == len(phrases)


@pytest.mark.parametrize(
    ("instruction", "answer"),
    [
        ("Repeat the words: fox plum red.", "fox plum red"),
        ("Write the words backwards: fox plum red.", "red plum fox"),
        ("Give the first of the words: fox plum red.", "fox"),
        ("Which of the words comes last: fox plum red.", "red"),
        ("Count the words: fox plum red.", "3"),
        ("Name the kind of the words: fox plum red.", "animal fruit colour"),
        ("Add one to the numbers: 3 12 30.", "4 13 31"),
        ("Find the largest of the numbers: 9 12 3.", "12"),
        ("Repeat the animals: fox plum dog.", "fox dog"),
        ("Copy the even numbers: 3 12 30.", "12 30"),
        (
            "Repeat the words: fox plum red. Put a dash between the items. Put the result in brackets.",
            "( fox - plum - red )",
        ),
        ("Count the words: fox plum red. Start with the word yes. End with the word done.", "yes 3 done"),
        (
            "Repeat the words: fox plum red. Before that drop the first item. Also repeat the last item.",
            "plum red, red",
        ),
        ("Repeat the words: fox plum red. Work on the reversed list. Work without the last item.", "plum fox"),
        (
            "Count the fruits: fox plum fig. Also give the length of the list. Also name the kind of the first item.",
            "2, 3, animal",
        ),
    ],
)
def test_gold_answers(instruction: str, answer: str) -> None:
    assert world.correct(instruction, f" {answer}\n")
    assert not world.correct(instruction, f"{answer} fox")
    assert not world.correct(instruction, "")


@pytest.mark.parametrize(
    "instruction",
    [
        "",
        "Tell me a joke.",
        "Repeat the words: fox plum unicorn.",
        "Repeat the words: fox plum 3.",
        "Repeat the words: fox fox.",
        "Repeat the numbers: fox plum red.",
        "Repeat the words: 3 4 5.",
        "Repeat the animals: plum red.",
        "Repeat the words: fox plum red. Be brief.",
        "Repeat the words: fox plum red. End with the word done. Close with the word done.",
        "Repeat the words: fox plum red.\nEnd with the word done.",
        "Add one to the words: fox plum red.",
        "repeat the words: fox plum red.",
    ],
)
def test_anything_else_is_not_of_the_world(instruction: str) -> None:
    assert parse(instruction) is None
    assert world.level_of(instruction) is None
    assert not world.correct(instruction, instruction)


@pytest.mark.parametrize("method", world.METHODS)
def test_gold_evolutions_are_valid_and_raise_the_level_by_one_in_depth(method: str) -> None:
    rng = random.Random(3)
    found = 0
    for task, instruction in drawn(400, levels=MAX_LEVEL):
        child = world.evolve(instruction, method, rng)
        if child is None:
            continue
        found += 1
        assert world.is_valid_evolution(instruction, child, method)
        assert method == "breadth" or world.level_of(child) == task.level + 1
    assert found > 200


def test_a_plain_task_can_be_evolved_by_every_method() -> None:
    rng = random.Random(4)
    assert all(world.evolve(text, method, rng) for _, text in drawn(200, levels=1) for method in world.METHODS)


@pytest.mark.parametrize("method", IN_DEPTH_METHODS)
def test_an_evolution_that_loses_something_is_not_valid(method: str) -> None:
    rng = random.Random(5)
    for _, instruction in drawn(100, levels=2):
        child = world.evolve(instruction, method, rng)
        if child is None:
            continue
        assert not world.is_valid_evolution(instruction, instruction, method)
        assert not world.is_valid_evolution(instruction, child + " fox", method)
        assert not any(
            world.is_valid_evolution(instruction, child, other) for other in IN_DEPTH_METHODS if other != method
        )
        assert not world.is_valid_evolution(child, instruction, method)


def test_breadth_must_state_another_task_of_about_the_level() -> None:
    parent = "Repeat the words: fox plum red."
    assert world.is_valid_evolution(parent, "Count the words: dog fig axe.", "breadth")
    assert not world.is_valid_evolution(parent, "Copy the words: fox plum red.", "breadth")
    two_more = "Count the words: dog fig axe. Put the result in brackets. End with the word done."
    assert not world.is_valid_evolution(parent, two_more, "breadth")


def test_evolving_something_foreign_raises() -> None:
    with pytest.raises(ValueError, match="not an instruction of the world"):
        world.evolve("Tell me a joke.", "deepen", random.Random(0))


def test_seeds_and_held_out_tasks_never_share_a_list() -> None:
    seeds = [parse(task.instruction) for task in world.seeds(1500, seed=1, levels=(0, 1, 2, 3))]
    held_out = [parse(task.instruction) for task in world.heldout(500, seed=1)]
    assert all(task and not is_held_out(task.arguments) for task in seeds)
    assert all(task and is_held_out(task.arguments) for task in held_out)


def test_sets_are_deterministic_distinct_and_of_the_asked_levels() -> None:
    tasks = world.heldout(80, seed=2, levels=(0, 2))
    assert tasks == world.heldout(80, seed=2, levels=(0, 2)) != world.heldout(80, seed=3, levels=(0, 2))
    assert len({task.instruction for task in tasks}) == 80
    assert [task.level for task in tasks] == [0, 2] * 40
    assert {task.kind for task in tasks} == set(KINDS)
    assert all(world.correct(task.instruction, task.answer) for task in tasks)
