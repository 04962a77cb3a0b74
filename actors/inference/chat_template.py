"""Chat templates without injection: message content is encoded as text and never becomes a control token.

`encode_chat` encodes prompts for engines, `encode_example` encodes training examples. Both build the prompt in the same
way, so that a student gets exactly the same tokens in use as in training.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby, product
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from actors.engine import LoadError, RequestError, StudentTemplate
from actors.inference.templates.student_templates import DEFAULT, STUDENT_TEMPLATES
from actors.inference.templates.template_text import (
    Argument,
    folder_template,
    single_template,
    syntax_error,
    with_arguments,
    with_suffix,
)
from prompts.thoughts import TAGS, closing_text, opens_thoughts, thoughts_frame

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Key = TypeVar("Key")
Value = TypeVar("Value")
Message = tuple[str, str]
Piece = tuple[str, bool]  # rendered text, and whether it is message content
IGNORED = -100  # the label that torch's cross entropy ignores
_TEMPLATE_ERRORS = (TypeError, ValueError, KeyError, AttributeError, IndexError)
_SLOT = re.compile(r"( ?)evolgrid-slot-(\d+)-end( ?)")
MAX_CACHED = 1000  # texts and renderings of a tokenizer; a template usually has a few of each
_FIXED_IDS: WeakKeyDictionary[Any, dict[str, tuple[int, ...]]] = WeakKeyDictionary()
_RENDERED: WeakKeyDictionary[Any, dict[tuple[Any, ...], str]] = WeakKeyDictionary()


def set_template(
    tokenizer: PreTrainedTokenizerBase,
    chat_template: str | None,
    arguments: Mapping[str, Argument],
    student: StudentTemplate = "",
) -> None:
    """Set the template of a tokenizer: `chat_template`, or else its own, with these arguments in its text.

    A student's tokenizer has a template in any case. If the generation prompt opens the thoughts, "closed" closes them.

    Raises:
        LoadError: If the template has a syntax error.
    """
    folder = tokenizer.name_or_path
    own = single_template(tokenizer.chat_template) or (folder_template(Path(folder)) if folder else None)
    template = chat_template or own or (STUDENT_TEMPLATES[DEFAULT] if student else None)
    if template and (error := syntax_error(template)):
        raise LoadError(
            folder, f"its chat template, line {error[0]}: {error[1]}. Give another with 'chat_template: FILE'"
        )
    tokenizer.chat_template = template and with_arguments(template, arguments)
    if template and student == "closed" and (closing := closing_text(_generation_prompt(tokenizer))):
        tokenizer.chat_template = with_suffix(str(tokenizer.chat_template), closing)


def starts_in_thoughts(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Return whether the template's generation prompt opens the thoughts, so that a reply begins within them."""
    return opens_thoughts(_generation_prompt(tokenizer))


def encode_chat(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], add_generation_prompt: bool
) -> list[int]:
    """Return the token ids of a conversation under the tokenizer's chat template.

    `messages` are (role, content) pairs. Usually, the result is the same as that of `apply_chat_template`. Content that
    spells a control token is encoded separately, as plain text. If the template has no system role, the system text is
    put before the first user turn, with a blank line between them.

    Raises:
        LoadError: If the tokenizer has no chat template.
        RequestError: "chat_template", if the template rejects these roles, or drops or repeats a message.
    """
    return _encode_pieces(tokenizer, _scaffold(tokenizer, messages, add_generation_prompt))


def encode_example(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Message],
    thoughts: str | None = None,
    every_turn: bool = False,
) -> tuple[list[int], list[int]]:
    """Return the input ids and labels of one training conversation, both of the same length.

    The last message must be the assistant's. Its content and its end-of-turn token are labelled; with `every_turn`, so
    are those of all other assistant's turns, as the template renders them. All other labels are -100. `thoughts` (an
    empty text, too) are labelled with the tags around them. If they are None, thoughts that the generation prompt opens
    are closed in the prompt.

    Raises:
        ValueError: If the last message is not the assistant's.
        LoadError: If the tokenizer has no chat template.
    """
    *context, (role, answer) = messages
    if role != "assistant":
        raise ValueError(f"the last message of a training example must be the assistant's, not the {role}'s")
    pieces = _scaffold(tokenizer, context, add_generation_prompt=True)
    end = _rendered_end(pieces)
    if thoughts is None and (closing := closing_text(end)):
        pieces = [*pieces[:-1], (end + closing, False)]
    before, after = ("", "") if thoughts is None else thoughts_frame(end, _opening_tag(tokenizer))
    control = _control_ids(tokenizer, [*pieces, (before, False), (after, False)])
    target = [
        *_encode_fixed(tokenizer, before),
        *_encode_plain(tokenizer, thoughts or "", control),
        *_encode_fixed(tokenizer, after),
        *_encode_plain(tokenizer, answer, control),
        end_of_turn(tokenizer),
    ]
    if every_turn:
        prompt, labels = _encode_turns(tokenizer, pieces, [role for role, _ in context], control)
    else:
        prompt = _encode_pieces(tokenizer, pieces)
        labels = [IGNORED] * len(prompt)
    return prompt + target, labels + target


def _encode_turns(
    tokenizer: PreTrainedTokenizerBase, pieces: Sequence[Piece], roles: Sequence[str], control: frozenset[int]
) -> tuple[list[int], list[int]]:
    """Return the ids and labels of a prompt, in which the assistant's turns are learned.

    As in the last turn, the content of each is encoded by itself. `roles` are those of the contents, and perhaps of a
    system text before them that is part of the first content.
    """
    left = [*roles[len(roles) - sum(content for _, content in pieces) :]]
    ids, labels = list[int](), list[int]()
    for learned, group in groupby(pieces, key=lambda piece: piece[1] and left.pop(0) == "assistant"):
        run = [*group]
        tokens = _encode_plain(tokenizer, run[0][0], control) if learned else _encode_pieces(tokenizer, run)
        mask = [learned] * len(tokens)
        if ids and not learned and (place := _end_of_turn_index(tokenizer, run[0])) is not None:
            mask[place] = True
        ids += tokens
        labels += [token if own else IGNORED for token, own in zip(tokens, mask, strict=True)]
    return ids, labels


def _end_of_turn_index(tokenizer: PreTrainedTokenizerBase, piece: Piece) -> int | None:
    """Return the index of the end-of-turn token in the template's text after an assistant's content; None without."""
    tokens = () if piece[1] else _encode_fixed(tokenizer, piece[0])
    end = end_of_turn(tokenizer)
    return tokens.index(end) if end in tokens else None


def end_of_turn(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the id of the token that ends an assistant's turn: the template's own, or else the tokenizer's EOS.

    Raises:
        LoadError: If there is neither.
    """
    pieces = _scaffold(tokenizer, (("user", ""), ("assistant", "")), add_generation_prompt=False)
    tail = () if pieces[-1][1] else _encode_fixed(tokenizer, pieces[-1][0])
    ends = _control_tokens(tail, _control_ids(tokenizer, pieces))
    if ends:
        return ends[0]
    if not isinstance(tokenizer.eos_token_id, int):
        detail = "it has no token that ends a reply; set 'eos_token' in its tokenizer_config.json"
        raise LoadError(tokenizer.name_or_path, detail)
    return tokenizer.eos_token_id


def template_ids(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Return the ids of the tokens that the chat template puts around contents; none without a template."""
    if not tokenizer.chat_template:
        return frozenset()
    system, user, assistant = ("system", "x"), ("user", "x"), ("assistant", "x")
    ids: set[int] = set()
    for turns in ((user,), (user, assistant), (system, user)):
        with contextlib.suppress(RequestError):  # not every template has all roles
            ids.update(encode_chat(tokenizer, turns, add_generation_prompt=turns[-1] == user))
    return frozenset(ids)


def encode_text(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Return the token ids of raw text, with the BOS if the tokenizer adds one. Control tokens in it stay text."""
    return list(tokenizer(text, add_special_tokens=True, split_special_tokens=True)["input_ids"])


def _generation_prompt(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the end of a rendered prompt, after the user's turn; empty if the template rejects a single turn."""
    try:
        return _rendered_end(_scaffold(tokenizer, (("user", "Hi"),), add_generation_prompt=True))
    except RequestError:
        return ""


def _rendered_end(pieces: Sequence[Piece]) -> str:
    return "" if pieces[-1][1] else pieces[-1][0]


def _opening_tag(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the tokenizer's own tag that opens thoughts, or else the most common one."""
    added = [entry.content for entry in tokenizer.added_tokens_decoder.values()]
    return next((token for token in added if token.lower() in TAGS), next(iter(TAGS)))


def _scaffold(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], add_generation_prompt: bool
) -> list[Piece]:
    """Return the rendered conversation in pieces, with each content trimmed as the template does.

    Tried in this order: the messages as they are, with their content as a text or as a list of parts; and the same with
    the system text before the first user turn.
    """
    if not tokenizer.chat_template:
        detail = "it has no chat template; give one with 'chat_template: FILE' in the study's entry of the model"
        raise LoadError(tokenizer.name_or_path, detail)
    conversations = [messages, *([merged] if (merged := _without_system(messages)) else [])]
    first_error: RequestError | None = None
    for conversation, in_parts in product(conversations, (False, True)):
        try:
            return _pieces(tokenizer, conversation, add_generation_prompt, in_parts)
        except RequestError as error:
            first_error = first_error or error
    assert first_error is not None
    raise first_error


def _without_system(messages: Sequence[Message]) -> list[Message]:
    """Return the conversation with its system text before its first user turn; empty without these two turns."""
    (role, system), *turns = messages or [("", "")]
    first = next((index for index, turn in enumerate(turns) if turn[0] == "user"), None)
    if role != "system" or first is None:
        return []
    turns[first] = ("user", f"{system}\n\n{turns[first][1]}" if system else turns[first][1])
    return turns


def _pieces(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], add_generation_prompt: bool, in_parts: bool
) -> list[Piece]:
    rendered = _rendered_slots(tokenizer, tuple(role for role, _ in messages), add_generation_prompt, in_parts)
    pieces: list[Piece] = []
    seen: list[int] = []
    end = 0
    for match in _SLOT.finditer(rendered):
        seen.append(int(match[2]))
        content = messages[seen[-1]][1]
        content = content if match[1] else content.lstrip()
        pieces += [(rendered[end : match.start()], False), (content if match[3] else content.rstrip(), True)]
        end = match.end()
    if sorted(seen) != list(range(len(messages))):
        raise RequestError("chat_template", f"the chat template of {tokenizer.name_or_path} drops or repeats a message")
    return [*pieces, (rendered[end:], False)] if rendered[end:] else pieces


def _rendered_slots(
    tokenizer: PreTrainedTokenizerBase, roles: tuple[str, ...], add_generation_prompt: bool, in_parts: bool
) -> str:
    """Return a conversation of these roles with a slot in place of each content. It is rendered only once."""
    known = _cache_of(_RENDERED, tokenizer)
    key = (tokenizer.chat_template, roles, add_generation_prompt, in_parts)
    if key not in known:
        slots = [f" evolgrid-slot-{i}-end " for i in range(len(roles))]
        conversation: list[dict[str, Any]] = [
            {"role": role, "content": [{"type": "text", "text": slot}] if in_parts else slot}
            for role, slot in zip(roles, slots, strict=True)
        ]
        known[key] = _render(tokenizer, conversation, add_generation_prompt)
    return known[key]


def _cache_of(caches: WeakKeyDictionary[Any, dict[Key, Value]], tokenizer: PreTrainedTokenizerBase) -> dict[Key, Value]:
    """Return a tokenizer's cache, empty if it had no room left."""
    found = caches.setdefault(tokenizer, {})
    if len(found) >= MAX_CACHED:
        found.clear()
    return found


def _render(tokenizer: PreTrainedTokenizerBase, conversation: list[dict[str, Any]], add_generation_prompt: bool) -> str:
    from jinja2 import TemplateError

    try:
        return str(
            tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=add_generation_prompt)
        )
    except (TemplateError, *_TEMPLATE_ERRORS) as error:
        roles = [message["role"] for message in conversation]
        detail = f"the chat template of {tokenizer.name_or_path} refuses the roles {roles}: {error}"
        raise RequestError("chat_template", detail) from error


def _encode_pieces(tokenizer: PreTrainedTokenizerBase, pieces: Sequence[Piece]) -> list[int]:
    fixed = [_encode_fixed(tokenizer, text) for text, content in pieces if not content]
    control = _control_ids(tokenizer, pieces)
    joint = _encode(tokenizer, "".join(text for text, _ in pieces))
    if _control_tokens(joint, control) == _control_tokens((token for ids in fixed for token in ids), control):
        return joint
    encoded = [
        _encode_plain(tokenizer, text, control) if content else _encode_fixed(tokenizer, text)
        for text, content in pieces
    ]
    return [token for ids in encoded for token in ids]


def _encode_fixed(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    """Return the ids of a text of the template, which is encoded only once: every conversation has the same few."""
    known = _cache_of(_FIXED_IDS, tokenizer)
    if text not in known:
        known[text] = tuple(_encode(tokenizer, text))
    return known[text]


def _encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False, split_special_tokens=False)["input_ids"])


def _encode_plain(tokenizer: PreTrainedTokenizerBase, text: str, control: frozenset[int]) -> list[int]:
    """Return the ids of `text` without control tokens; those that are not special tokens are split in two first."""
    spelled = [tokenizer.added_tokens_decoder[i].content for i in control if i in tokenizer.added_tokens_decoder]
    cut = re.compile("|".join(f"(?<={re.escape(s[0])})(?={re.escape(s[1:])})" for s in spelled if len(s) > 1) or r"\Z.")
    parts = cut.split(text) if any(s in text for s in spelled) else [text]
    return [
        token
        for part in parts
        for token in tokenizer(part, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    ]


def _control_ids(tokenizer: PreTrainedTokenizerBase, pieces: Iterable[Piece]) -> frozenset[int]:
    """Return the ids that only a template may use: special tokens, and other added tokens that the template uses.

    Other added tokens (runs of spaces, say) are ordinary text to the model.
    """
    added = tokenizer.added_tokens_decoder
    special = {token for token, entry in added.items() if entry.special} | set(tokenizer.all_special_ids)
    used = {
        token for text, content in pieces if not content for token in _encode_fixed(tokenizer, text) if token in added
    }
    return frozenset(token for token in special | used if token != tokenizer.unk_token_id)


def _control_tokens(ids: Iterable[int], control: frozenset[int]) -> list[int]:
    return [token for token in ids if token in control]
