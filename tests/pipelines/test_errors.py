"""One mistake is one readable line, several are a list, and both survive the way between processes."""

from __future__ import annotations

import pickle

from pipelines.errors import InputError, InputErrors, combined


def test_a_mistake_reads_place_field_message_remedy() -> None:
    error = InputError("unknown key 'a'", file="s.yaml", line=3, field="models.a", remedy="Did you mean 'b'?")
    assert str(error) == "s.yaml:3: models.a: unknown key 'a'. Did you mean 'b'?"
    assert str(InputError("no such file", file="s.yaml")) == "s.yaml: no such file"
    assert str(InputError("nothing to do")) == "nothing to do"


def test_several_mistakes_are_listed_by_line() -> None:
    errors = combined([InputError("second", file="s", line=9), InputError("first", file="s", line=2)])
    assert str(errors) == "s:2: first\ns:9: second"
    assert (errors.file, errors.line) == ("s", 2)


def test_one_mistake_stays_itself() -> None:
    error = InputError("alone")
    assert combined([error]) is error


def test_mistakes_keep_their_words_between_processes() -> None:
    error = InputError("wrong", file="s", line=1, field="a", remedy="Try b.")
    for original in (error, InputErrors([error, InputError("too", file="s", line=2)])):
        copy = pickle.loads(pickle.dumps(original))
        assert type(copy) is type(original)
        assert str(copy) == str(original)
