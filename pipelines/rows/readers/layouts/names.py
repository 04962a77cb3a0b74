"""The names of columns, speakers and parts of turns in data sets. Case and surrounding space do not matter."""

from __future__ import annotations

from pipelines.rows.readers.rules import ColumnField

STRONG: dict[ColumnField, tuple[str, ...]] = {
    "instruction": ("instruction", "question", "prompt"),
    "input": ("input", "context"),
    "output": ("output", "response", "answer"),
    "system": ("system", "system_prompt", "system_message", "system_instruction", "systeminstruction"),
    "history": ("history",),
    "messages": ("messages", "conversations", "conversation", "dialogue", "dialog", "chat", "contents", "data"),
}
"""Names of a field. A record in which two of them have a value is ambiguous."""
WEAK: dict[ColumnField, tuple[str, ...]] = {
    "instruction": ("query", "problem", "inputs"),
    "output": ("solution", "targets", "completion", "chosen"),
}
"""Names of a field in records that have no strong one."""
LISTS = ("prompt", "chosen")
"""Names of texts that some data sets give to lists of turns."""
PARTS = frozenset(
    "tools functions image images audio audios video videos choices options passage passages document documents "
    "article paragraph background persona examples demonstrations hint hints "
    "table tables schema constraint constraints story evidence knowledge thoughts thinking reasoning instances".split()
)
"""Columns that carry a part of the task and have no field in a seed."""
TREE = frozenset({"message_id", "parent_id", "text", "role"})

SPEAKERS = ("from", "role", "speaker")
TEXTS = ("value", "content", "text", "parts", "message", "utterance")
TEXT_PARTS = frozenset({"text", "input_text", "output_text"})
THOUGHT_PARTS = frozenset({"thinking", "reasoning", "redacted_thinking"})
PAIRS = {"input": "user", "output": "assistant", "prompt": "user", "response": "assistant"}
"""Keys of turns that are an object of both speakers' texts, besides the speakers' own names."""
TOOLS = "tool"
_SPEAKERS_OF = {
    "user": ("user", "human", "prompter", "usr", "customer"),
    "assistant": ("assistant", "bing", "bard", "model", "bot", "ai", "llm", "chatbot"),
    "system": ("system", "developer"),
    TOOLS: (
        *("tool", "tool_call", "tool_calls", "tool_response", "tool_result"),
        *("function", "function_call", "function_response", "observation", "ipython"),
    ),
}
ROLES = {name: role for role, names in _SPEAKERS_OF.items() for name in names}
_ASSISTANTS = ("gpt", "chatgpt", "claude", "gemini")  # also with a version behind it


def plain(name: str) -> str:
    """Return a name without what does not matter: case, surrounding space, and the kind of word separator."""
    return name.strip().casefold().replace(" ", "_").replace("-", "_")


def role_of(speaker: str) -> str | None:
    """Return the role of a speaker; None if it is unknown."""
    name = plain(speaker)
    return ROLES.get(name) or ("assistant" if name.startswith(_ASSISTANTS) else None)
