"""Conversations as seed rows: the user's first turn is the instruction, the reply to it the output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from pipelines.rows.readers.seed_rows import RowProblem

# the name of the list, and the names of speaker and text in each turn
CONVERSATION_FORMS = (("conversations", "from", "value"), ("messages", "role", "content"))
USER_ROLES, ASSISTANT_ROLES = ("human", "user"), ("gpt", "assistant")


def flatten(record: Mapping[str, object]) -> Mapping[str, object]:
    """Return a record in ShareGPT's or the messages form as one with instruction and output, and others unchanged.

    Raises:
        RowProblem: If the conversation is not a list of turns, or has no user turn.
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
