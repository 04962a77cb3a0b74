"""Chat templates without injection: message content is encoded as text and never becomes a control token.

`encode_chat` encodes prompts for engines, `encode_example` encodes training examples. Both build the prompt in the same
way, so that a student gets exactly the same tokens in use as in training.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from actors.engine import RequestError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Message = tuple[str, str]
Piece = tuple[str, bool]  # rendered text, and whether it is message content
IGNORED = -100  # the label that torch's cross entropy ignores
# For base models without a template; like LLaMA-Factory's `default`, it has no control token except the EOS
PLAIN_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' %}{{ message['content'] }}"
    "{% else %}{{ {'user': 'Human', 'system': 'System'}[message['role']] + ': ' + message['content'] }}{% endif %}"
    "{{ eos_token + '\\n' }}{% if message['role'] == 'user' %}Assistant:{% endif %}{% endfor %}"
)
_SLOT = re.compile(r"( ?)evolgrid-slot-(\d+)-end( ?)")


def encode_chat(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], add_generation_prompt: bool
) -> list[int]:
    """Return the token ids of a conversation under the tokenizer's chat template.

    `messages` are (role, content) pairs. Usually, the result is the same as that of `apply_chat_template`. Content that
    spells a control token is encoded separately, as plain text.

    Raises:
        ValueError: If the tokenizer has no chat template.
        RequestError: "chat_template", if the template rejects these roles, or drops or repeats a message.
    """
    pieces = _scaffold(tokenizer, messages, add_generation_prompt)
    fixed = [_encode(tokenizer, text) for text, content in pieces if not content]
    control = _control_ids(tokenizer, pieces)
    joint = _encode(tokenizer, "".join(text for text, _ in pieces))
    if _control_tokens(joint, control) == _control_tokens((token for ids in fixed for token in ids), control):
        return joint
    encoded = [
        _encode_plain(tokenizer, text, control) if content else _encode(tokenizer, text) for text, content in pieces
    ]
    return [token for ids in encoded for token in ids]


def encode_example(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> tuple[list[int], list[int]]:
    """Return the input ids and labels of one training conversation, both of the same length.

    The last message must be the assistant's. Its content and its end-of-turn token are labelled, all other labels are
    -100.

    Raises:
        ValueError: If the last message is not the assistant's, or there is no chat template.
    """
    *context, (role, answer) = messages
    if role != "assistant":
        raise ValueError(f"the last message of a training example must be the assistant's, not the {role}'s")
    prompt = encode_chat(tokenizer, context, add_generation_prompt=True)
    control = _control_ids(tokenizer, _scaffold(tokenizer, context, add_generation_prompt=True))
    target = [*_encode_plain(tokenizer, answer, control), end_of_turn(tokenizer)]
    return prompt + target, [IGNORED] * len(prompt) + target


def end_of_turn(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the id of the token that ends an assistant's turn: the template's own, or else the tokenizer's EOS.

    Raises:
        ValueError: If there is neither.
    """
    pieces = _scaffold(tokenizer, (("user", ""), ("assistant", "")), add_generation_prompt=False)
    tail = [] if pieces[-1][1] else _encode(tokenizer, pieces[-1][0])
    ends = _control_tokens(tail, _control_ids(tokenizer, pieces))
    if ends:
        return ends[0]
    if not isinstance(tokenizer.eos_token_id, int):
        raise ValueError(f"the tokenizer of {tokenizer.name_or_path} has no end-of-turn token")
    return tokenizer.eos_token_id


def encode_text(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Return the token ids of raw text, with the BOS if the tokenizer adds one. Control tokens in it stay text."""
    return list(tokenizer(text, add_special_tokens=True, split_special_tokens=True)["input_ids"])


def _scaffold(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], add_generation_prompt: bool
) -> list[Piece]:
    """Return the rendered conversation in pieces, with each content trimmed as the template does."""
    if not tokenizer.chat_template:
        raise ValueError(f"the tokenizer of {tokenizer.name_or_path} has no chat template")
    slots = [{"role": role, "content": f" evolgrid-slot-{i}-end "} for i, (role, _) in enumerate(messages)]
    rendered = _render(tokenizer, slots, add_generation_prompt)
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


def _render(tokenizer: PreTrainedTokenizerBase, conversation: list[dict[str, str]], add_generation_prompt: bool) -> str:
    from jinja2 import TemplateError

    try:
        return str(
            tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=add_generation_prompt)
        )
    except TemplateError as error:
        roles = [message["role"] for message in conversation]
        detail = f"the chat template of {tokenizer.name_or_path} refuses the roles {roles}: {error}"
        raise RequestError("chat_template", detail) from error


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
    used = {token for text, content in pieces if not content for token in _encode(tokenizer, text) if token in added}
    return frozenset(token for token in special | used if token != tokenizer.unk_token_id)


def _control_tokens(ids: Iterable[int], control: frozenset[int]) -> list[int]:
    return [token for token in ids if token in control]
