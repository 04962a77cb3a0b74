"""Records of the layouts that data sets have: what of them becomes a seed, and what is noted or refused."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import InputError
from pipelines.rows.readers import ReadingRules, SeedRow, SeedSource, find_files, read_seeds
from pipelines.rows.readers.seed_rows import REMEDIES

Record = dict[str, Any]
Read = Callable[..., SeedRow]
USER, ASSISTANT = {"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Yes."}
SECOND = [{"role": "user", "content": "More?"}, {"role": "assistant", "content": "No."}]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read one record of a JSON Lines file."""

    def of(record: Record | str, **rules: Any) -> SeedRow:
        path = tmp_path / "seeds.jsonl"
        path.write_text(record if isinstance(record, str) else json.dumps(record))
        (row,) = read_seeds(SeedSource(find_files([path]), ReadingRules(**rules))).rows
        return row

    return of


def text_parts(*texts: str) -> list[Record]:
    return [{"type": "text", "text": text} for text in texts]


def turns(speaker: str, text: str, user: str = "user", assistant: str = "assistant") -> list[Record]:
    return [{speaker: user, text: "Hi."}, {speaker: assistant, text: "Yes."}]


ONE_EXCHANGE: list[Record] = [
    {"instruction": "Hi.", "output": "Yes."},
    {"Instruction": "Hi.", "OUTPUT": "Yes."},
    {" instruction ": "Hi.", " output": "Yes."},
    {"question": "Hi.", "answer": "Yes."},
    {"query": "Hi.", "response": "Yes.", "type": "x"},
    {"problem": "Hi.", "solution": "Yes."},
    {"inputs": "Hi.", "targets": "Yes."},
    {"prompt": "Hi.", "completion": "Yes."},
    {"prompt": "Hi.", "chosen": "Yes.", "rejected": "No."},
    {"prompt": [USER], "completion": [ASSISTANT]},
    {"prompt": [USER], "completion": "Yes."},
    {"prompt": [USER], "chosen": [ASSISTANT], "rejected": [ASSISTANT]},
    {"prompt": "Hi.", "chosen": [USER, ASSISTANT], "rejected": [USER, ASSISTANT]},
    {"prompt": "Hi.", "messages": [USER, ASSISTANT]},
    {"instruction": "Hi.", "response": "Yes.", "conversations": turns("from", "value", "human", "gpt")},
    {"conversations": turns("from", "value", "human", "gpt")},
    {"conversations": turns("role", "content")},
    {"messages": turns("from", "value", "Human", "chatgpt")},
    {"Messages": turns("Role", "Content", "USER", "ASSISTANT")},
    {"conversation": turns("role", "text", "prompter", "bard")},
    {"dialogue": turns("speaker", "text", "user", "bot")},
    {"contents": [{"role": "user", "parts": [{"text": "Hi."}]}, {"role": "model", "parts": [{"text": "Yes."}]}]},
    {"conversations": turns("from", "value", "human", "gpt-4-0613")},
    {"conversation": [{"input": "Hi.", "output": "Yes."}]},
    {"conversation": [{"human": "Hi.", "assistant": "Yes."}]},
    {"conversations": [{"user": "Hi."}, {"assistant": "Yes."}]},
    {"conversations": [["Hi.", "Yes."]]},
    {"conversations": [[USER, ASSISTANT]]},
    {"conversations": {"from": ["human", "gpt"], "value": ["Hi.", "Yes."]}},
    {"messages": [USER, ASSISTANT, {"role": "user", "content": " "}]},
    {"prompt": [USER], "chosen": [USER, ASSISTANT]},
    {"instruction": "Hi.", "query": "Hi.", "output": "Yes."},
    {"data": ["Hi.", "Yes."]},
    {"messages": [USER | {"content": text_parts("Hi.")}, ASSISTANT | {"content": text_parts("Yes.")}]},
    {"body": {"model": "m", "messages": [USER, ASSISTANT]}, "custom_id": "1"},
    {"messages": [USER, ASSISTANT], "conversations": [USER, ASSISTANT]},
]


@pytest.mark.parametrize("record", ONE_EXCHANGE, ids=lambda record: json.dumps(record)[:60])
def test_every_usual_layout_is_read(read: Read, record: Record) -> None:
    assert read(record) == SeedRow(0, "Hi.", "", "Yes.")


def test_a_context_is_the_input_and_a_system_prompt_the_system_text(read: Read) -> None:
    assert read({"instruction": "When?", "context": "In 1910.", "response": "1910."}).input == "In 1910."
    row = read({"system_prompt": "Be brief.", "question": "Why?", "response": "So."})
    assert (row.system, row.instruction, row.output) == ("Be brief.", "Why?", "So.")


@pytest.mark.parametrize("history", [[["Hi.", "Yes."]], [USER, ASSISTANT], ["Hi.", "Yes."]])
def test_a_history_in_every_spelling_comes_before_the_instruction(read: Read, history: Any) -> None:
    row = read({"instruction": "More?", "input": "x", "output": "No.", "system": "S.", "history": history})
    assert row == SeedRow(0, "More?", "x", "No.", "S.", ("Hi.", "Yes."))


@pytest.mark.parametrize("role", ["system", "developer", "System"])
def test_the_system_turn_is_kept_dropped_or_merged(read: Read, role: str) -> None:
    record = {"messages": [{"role": role, "content": "S."}, USER, ASSISTANT, *SECOND]}
    kept = read(record)
    assert (kept.system, kept.history, kept.instruction, kept.notes) == ("S.", ("Hi.", "Yes."), "More?", ())
    merged = read(record, system="merge")
    assert (merged.system, merged.history, merged.notes) == ("", ("S.\n\nHi.", "Yes."), ())
    assert read(record, system="merge", turns="first").instruction == "S.\n\nHi."
    dropped = read(record, system="drop")
    assert dropped.system == ""
    assert [note.text for note in dropped.notes] == ["a system text, which is not used"]


def test_the_turns_that_are_not_used_are_noted(read: Read) -> None:
    record = {"messages": [USER, ASSISTANT, *SECOND]}
    assert read(record) == SeedRow(0, "More?", "", "No.", "", ("Hi.", "Yes."))
    first, last = read(record, turns="first"), read(record, turns="last")
    assert (first.instruction, first.output, first.history) == ("Hi.", "Yes.", ())
    assert (last.instruction, last.output, last.history) == ("More?", "No.", ())
    assert [note.text for note in first.notes] == ["turns after the first reply, which are not used"]
    assert [note.text for note in last.notes] == ["turns before the last user turn, which are not used"]


def test_a_first_turn_from_a_history_has_not_the_input_of_the_last(read: Read) -> None:
    record = {"instruction": "More?", "input": "x", "output": "No.", "history": [["Hi.", "Yes."]]}
    row = read(record, turns="first")
    assert (row.instruction, row.input, row.output) == ("Hi.", "", "Yes.")


@pytest.mark.parametrize(
    ("record", "note"),
    [
        ({"messages": [ASSISTANT, USER, ASSISTANT]}, "an assistant's turn before the first user turn"),
        ({"messages": [USER, USER | {"content": "?"}, ASSISTANT]}, "consecutive turns of one speaker"),
        ({"messages": [USER, {"role": "system", "content": "S."}, ASSISTANT]}, "a system turn after the first turn"),
        ({"messages": [USER, ASSISTANT | {"tool_calls": [{"id": 1}]}]}, "calls of tools"),
        ({"messages": [USER, ASSISTANT], "tools": [{"name": "x"}]}, "a column 'tools'"),
        ({"messages": [USER, ASSISTANT], "context": "C."}, "a column 'context'"),
        ({"messages": [USER, ASSISTANT], "prompt": "other"}, "a column 'prompt' that differs"),
        ({"instruction": "x", "messages": [USER, ASSISTANT]}, "a column 'messages'"),
        ({"instruction": "x", "query": "y"}, "a column 'query'"),
        ({"instruction": "x", "conversation": "Human: y"}, "a column 'conversation'"),
        ({"question": "x", "choices": ["a", "b"], "answer": "a"}, "a column 'choices'"),
    ],
    ids=lambda value: json.dumps(value)[:50],
)
def test_what_has_no_place_in_a_seed_is_noted_or_refused(read: Read, record: Record, note: str) -> None:
    row = read(record)
    assert [text.startswith(note) for text, _ in row.notes] == [True]
    if row.notes[0].lost:
        with pytest.raises(InputError, match=f"has {note}"):
            read(record, on_unused="refuse")
    else:
        assert read(record, on_unused="refuse") == row


def test_joined_turns_keep_their_text(read: Read) -> None:
    row = read({"messages": [USER, {"role": "user", "content": " \n"}, USER | {"content": "Now."}, ASSISTANT]})
    assert row.instruction == "Hi.\n\nNow."


@pytest.mark.parametrize("turn", [{"role": "assistant"}, {"role": "assistant", "content": None}])
def test_a_reply_without_a_content_is_an_empty_reference(read: Read, turn: Record) -> None:
    assert read({"messages": [USER, turn]}) == SeedRow(0, "Hi.", "", "")


REFUSED: list[tuple[Record, str, str]] = [
    ({"messages": [USER, {"role": "tool", "content": "3"}]}, "tool-turn", "turn 2 is of a tool (the role 'tool')"),
    ({"conversations": [{"from": "function_call", "value": "f"}]}, "tool-turn", "(the role 'function_call')"),
    ({"messages": [USER, {"role": "narrator", "content": "x"}]}, "unknown-role", "the unknown role 'narrator'"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "content-part", "'image_url'"),
    ({"messages": [{"role": "user"}]}, "not-turns", "turn 1 has no 'value' or 'content' or 'text'"),
    ({"messages": "Hi."}, "not-turns", "must be a list of turns; here is text"),
    ({"messages": None}, "not-turns", "must be a list of turns; here is null"),
    ({"messages": [ASSISTANT]}, "no-user-turn", "no turn is the user's"),
    ({"instruction": "x", "prompt": "y"}, "ambiguous-field", "both instruction and prompt could be the instruction"),
    ({"instruction": "x", "input": "a", "context": "b"}, "ambiguous-field", "both input and context"),
    ({"messages": [USER], "conversations": [ASSISTANT]}, "ambiguous-field", "both messages and conversations"),
    ({"message_id": "1", "parent_id": None, "text": "x", "role": "prompter"}, "message-tree", "one message of a tree"),
    ({"prompt": {"text": "x", "replies": []}}, "message-tree", "the root of a tree of messages"),
    ({"type": "x", "instances": [{"input": "a"}]}, "rows-in-a-row", "whose 'instances' is a list of objects"),
    ({"data": [{"instruction": "a"}]}, "rows-in-a-row", "whose 'data' is a list of objects"),
]


@pytest.mark.parametrize(("record", "reason", "detail"), REFUSED, ids=lambda value: json.dumps(value)[:50])
def test_what_cannot_be_a_seed_is_refused_by_name(read: Read, record: Record, reason: str, detail: str) -> None:
    with pytest.raises(InputError) as caught:
        read(record)
    assert detail in str(caught.value) and str(caught.value).endswith(REMEDIES[reason])


def test_columns_are_mapped_also_into_nested_objects(read: Read) -> None:
    record = {"q": {"text": "Hi."}, "answers": {"gold": "Yes."}, "prompt": "other", "instruction": "another"}
    columns = (("instruction", "q.text"), ("output", "answers.gold"))
    assert read(record, columns=columns) == SeedRow(0, "Hi.", "", "Yes.")
    chat = {"instruction": "x", "turns": [["Hi.", "Yes."]], "hint": {"system": "S."}}
    assert read(chat, columns=(("messages", "turns"), ("system", "hint.system"))) == SeedRow(0, "Hi.", "", "Yes.", "S.")


def test_a_mapped_reply_replaces_that_of_the_conversation(read: Read) -> None:
    record = {"messages": [USER, ASSISTANT, *SECOND], "gold": "Never.", "facts": "F."}
    row = read(record, columns=(("output", "gold"), ("input", "facts")))
    assert row == SeedRow(0, "More?", "F.", "Never.", "", ("Hi.", "Yes."))


def test_a_mapped_column_is_no_other_field(read: Read) -> None:
    assert read({"input": "Hi.", "output": "Yes."}, columns=(("instruction", "input"),)) == SeedRow(
        0, "Hi.", "", "Yes."
    )


def test_a_field_without_a_column_is_ignored_on_purpose(read: Read) -> None:
    row = read({"instruction": "Hi.", "context": 3, "system": "S."}, columns=(("input", None), ("system", None)))
    assert row == SeedRow(0, "Hi.", "", "")


def test_a_mapped_column_that_is_missing_is_refused_or_noted(read: Read) -> None:
    with pytest.raises(InputError, match="there is no column 'quest'; the fields are question"):
        read({"question": "Hi."}, columns=(("instruction", "quest"),))
    (note,) = read({"question": "Hi."}, columns=(("input", "passage"),)).notes
    assert note.text == "no column 'passage', which the study names"


@pytest.mark.parametrize(
    "line",
    [
        '{"instruction": "Hi.", "output": "Yes.", "score": NaN}',
        '{"instruction": "Hi.", "output": "Yes.", "meta": {"a": 1, "a": 1e999}}',
        '{"instruction": "Hi.", "output": "Yes.", "id": 1, "id": 2}',
    ],
)
def test_what_json_does_not_allow_in_other_columns_refuses_no_row(read: Read, line: str) -> None:
    assert read(line) == SeedRow(0, "Hi.", "", "Yes.")


def test_problems_of_the_layout_are_told_once_for_a_file(tmp_path: Path) -> None:
    path = tmp_path / "seeds.jsonl"
    path.write_text('{"text": "x"}\n' * 3)
    with pytest.raises(InputError) as caught:
        read_seeds(path)
    assert str(caught.value).count("\n") == 0
    assert "(the same in 2 more rows)" in str(caught.value)
    path.write_text('{"text": "x"}\n' * 300)
    with pytest.raises(InputError, match="the same in at least 20 more rows"):
        read_seeds(path)


@pytest.mark.parametrize("record", [each for each in ONE_EXCHANGE if len({*each} & {"conversations", "messages"}) < 2])
def test_the_same_layouts_are_read_from_parquet_and_arrow(tmp_path: Path, record: Record) -> None:
    table = pa.Table.from_pylist([record] * 3)
    pq.write_table(table, tmp_path / "seeds.parquet")
    with pa.OSFile(str(tmp_path / "seeds.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    with pa.OSFile(str(tmp_path / "file.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    for name in ("seeds.parquet", "seeds.arrow", "file.arrow"):
        assert read_seeds(tmp_path / name).rows == [SeedRow(n, "Hi.", "", "Yes.") for n in range(3)]


def test_cells_of_csv_and_tsv_may_hold_turns_as_json(tmp_path: Path) -> None:
    for suffix, mark in (("csv", ","), ("tsv", "\t")):
        sheet = io.StringIO(newline="")
        csv.writer(sheet, delimiter=mark).writerows([["id", "messages"], ["1", json.dumps([USER, ASSISTANT])]])
        (tmp_path / f"seeds.{suffix}").write_text(sheet.getvalue())
        assert read_seeds(tmp_path / f"seeds.{suffix}").rows == [SeedRow(0, "Hi.", "", "Yes.")]
