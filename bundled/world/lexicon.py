"""The vocabulary of the world: words in five categories, and small numbers that are even or odd."""

CATEGORIES: dict[str, tuple[str, ...]] = {
    "animal": tuple("fox dog cat cow pig hen bee ant owl rat hare wolf".split()),
    "fruit": tuple("apple plum pear fig lime kiwi mango grape lemon melon peach cherry".split()),
    "colour": tuple("red blue green pink grey black white brown gold teal violet tan".split()),
    "tool": tuple("saw axe hammer drill rake spade clamp wrench chisel knife ladder hoe".split()),
    "garment": tuple("hat coat shirt sock shoe glove scarf dress skirt belt boot vest".split()),
}
PARITIES: tuple[str, ...] = ("even", "odd")
LARGEST_NUMBER = 30
WORDS: tuple[str, ...] = tuple(word for words in CATEGORIES.values() for word in words)
NUMBERS: tuple[str, ...] = tuple(str(number) for number in range(1, LARGEST_NUMBER + 1))
_KIND_OF = {word: category for category, words in CATEGORIES.items() for word in words} | {
    number: PARITIES[int(number) % 2] for number in NUMBERS
}


def kind_of(item: str) -> str:
    """Return the category of a word, or 'even' / 'odd' for a number.

    Raises:
        KeyError: For anything else.
    """
    return _KIND_OF[item]


def is_number(item: str) -> bool:
    """Return whether the item is one of the world's numbers."""
    return item in NUMBERS


def noun_for(numbers: bool, focus: str | None) -> str:
    """Return the noun for a list: 'words', 'numbers', or narrower as 'animals', 'even numbers'."""
    if numbers:
        return "numbers" if focus is None else f"{focus} numbers"
    return "words" if focus is None else f"{focus}s"
