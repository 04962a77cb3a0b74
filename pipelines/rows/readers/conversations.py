"""Conversations as seed rows: the user's first turn is the instruction, what follows it the output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from pipelines.rows.readers.seed_rows import RowProblem

# the name of the list, and of speaker and text in each of its turns
CONVERSATION_FORMS = (("conversations", "from", "value"), ("messages", "role", "content"))
USER_ROLES, ASSISTANT_ROLES = ("human", "user"), ("gpt", "assistant")


def flatten(record: Mapping[str, object]) -> Mapping[str, object]:
    """A record of ShareGPT's or of the messages form as one with instruction and output; others as they are.

    Raises RowProblem for a list that is not one of turns, or in which no user speaks.
    """
    for name, speaker, text in CONVERSATION_FORMS:
        if name in record and "instruction" not in record:
            turns = [_turn(name, turn, speaker, text) for turn in _turn_list(name, record[name])]
            start = next((place for place, (who, _) in enumerate(turns) if who in USER_ROLES), None)
            if start is None:
                raise RowProblem("no-user-turn", "no turn is the user's", name)
            after = turns[start + 1 : start + 2]
            reply = after[0][1] if after and after[0][0] in ASSISTANT_ROLES else ""
            return {"instruction": turns[start][1], "output": reply}
    return record


def _turn_list(name: str, value: object) -> list[object]:
    if not isinstance(value, list):
        raise RowProblem("wrong-type", "must be a list of turns", name)
    return cast(list[object], value)


def _turn(name: str, turn: object, speaker: str, text: str) -> tuple[object, object]:
    if not isinstance(turn, dict) or speaker not in turn or text not in turn:
        raise RowProblem("wrong-type", f"a turn must be an object with '{speaker}' and '{text}'", name)
    fields = cast(Mapping[str, object], turn)
    return fields[speaker], fields[text]
