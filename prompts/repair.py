"""Removes what models put around the requested text. Each named rule removes one kind of wrapper."""

import json
import re
from collections.abc import Callable
from typing import Any

_NOUN = r"(?:instructions?|prompts?)"
_REWRITTEN = (
    r"(?:rewritten|re-written|revised|evolved|modified|updated|improved|enhanced|refined|reworded|rephrased|expanded"
    r"|created|more (?:complex|challenging|difficult|specific|detailed|advanced|concrete|complicated)|harder|complex"
    r"|challenging|new)"
)
_OWN_NOUN = rf"(?:{_NOUN}|questions?|tasks?|quer(?:y|ies)|requests?)"
_VERSION = rf"(?:{_OWN_NOUN}|(?:version|rewrite|variant)(?: of (?:the|your|this|that) (?:\w+ )?{_OWN_NOUN})?)"
_YES = r"(?:sure(?: thing)?|certainly|of course|absolutely|okay|ok|got it|understood)"
_PREAMBLES = (
    # "Sure! Here is a harder version of the given prompt, as asked:", also without a new line
    rf"\A(?:{_YES}\b[^\n:]{{0,8}}?[!,.]?\s+)?(?:here(?:'s|\u2019s| is)|below is|the following is|this is)\s+"
    rf"(?:\w+ ){{0,3}}?{_REWRITTEN}\s+(?:\w+ )?{_VERSION}\b"
    rf"(?!\s+(?:of|for|to)\b)[^\n:.?]{{0,60}}:[ \t*]*(?:\n+|[ \t]+)",
    rf"\A{_YES}\b[^\n:]{{0,80}}?\b(?:{_NOUN}|version)\b[^\n:]{{0,40}}:[ \t*]*\n+",
    rf"\A(?:here(?:'s|\u2019s| is)|below is)\s+(?:the|your)\s+(?:\w+ )?#?\s*(?:\w+ )?{_NOUN}#?(?:,[^\n:]{{0,40}})?:"
    rf"[ \t*]*(?:\n+|[ \t]+)",
    r"\A(?:i have|i've|i)\s+(?:rewritten|rewrote|revised|modified|evolved)\s+(?:the|your)[^\n:]{0,60}:[ \t*]*\n+",
    r"\A(?:(?:好的|当然|當然)[,\uff0c!\uff01\u3002]?\s*)?(?:以下|下面|这|這)是[^\n:\uff1a]{0,30}"
    r"(?:指令|提示词?|版本|问题|問題|任务|任務)[^\n:\uff1a]{0,10}[:\uff1a]\s*",
)
_PREAMBLE = re.compile("|".join(f"(?:{one})" for one in _PREAMBLES), re.I)
_AFFIRMED = re.compile(
    rf"\A(?:sure(?: thing)?|certainly|of course|absolutely)[!,.]\s+(?=\W*(?:the |my )?{_REWRITTEN}\s+{_NOUN}\b)", re.I
)
_LABEL = (
    rf"(?:the |my )?(?:(?:{_REWRITTEN}|final)\s+{_NOUN}"
    r"|(?:rewritten|evolved|revised)\s+(?:question|task|version|query))"
)
_HEADING = re.compile(
    rf"\A\W*{_LABEL}\b[ \t#*]*[:\uff1a][\s#*]*|\A(?:#{{1,6}}[ \t]+|\*\*|#){_LABEL}[ \t]*[#*]*[ \t]*\n+"
    r"|\A\W*(?:改写后的|重写后的|新的?|改寫後的)(?:指令|提示词?|问题)[*#\s]*[:\uff1a][\s#*]*",
    re.I,
)
_FENCE = re.compile(r"\A```[^\n`]*\n(?P<body>.*?)\n?```\Z", re.DOTALL)
MAX_NOTE_CHARS = 1000
MAX_ROUNDS = 5
_QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019", "`": "`"}
_FIELD = re.compile(
    r"instruction|prompt|rewrit|evolved|question|query|task|output|result|response|version|改写|指令", re.I
)
_TAGGED = re.compile(r"\A<(?P<name>[A-Za-z][\w-]*)>(?P<body>.*)</(?P=name)>\Z", re.DOTALL)
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\x00 \t\r\n"
_END_TOKENS = re.compile(
    r"(?<=\S)\s{0,3}(?:</s>|<\|(?:im_end|eot_id|endoftext|end|return|end_of_text)\|>|<eos>|<end_of_turn>)+\Z"
)
_I = r"I(?:'ve| have|\u2019ve)?"
# what a note says about the rewriting; a note without it may be part of the instruction
_OF_REWRITING = re.compile(
    rf"\b{_I} (?:also )?(?:added|rewrote|rewritten|made|changed|included|kept|increased|modified|introduced"
    r"|replaced|tried|adjusted|expanded|incorporated|ensured)\b"
    r"|\b(?:this|the) (?:new|rewritten|revised|modified|evolved|updated|original|enhanced|more complex|harder)"
    rf" (?:version|{_OWN_NOUN})\b|\bthis (?:version|rewrite|revision)\b|\bas (?:you )?(?:asked|requested|instructed)\b"
    r"|\badded (?:\w+ ){0,2}(?:constraints?|requirements?|depth|words)\b|我(?:增加|添加|加入)了",
    re.I,
)
_NOTE_LABEL = (
    r"(?:notes?|explanations?|changes(?: made)?|rationale|reasoning|justification|modifications?(?: made)?|comments?"
    r"|remarks?|what (?:i|was|has) (?:been )?(?:changed|added)|added constraints?|说明|注|解释)"
)
_LABELLED_NOTE = re.compile(
    rf"\n[ \t]*\n(?:[ \t]*(?:-{{3,}}|\*{{3,}}|_{{3,}})[ \t]*\n+)?[*_(\[#> \t]{{0,9}}"
    rf"{_NOTE_LABEL}\b[^\n]{{0,40}}?[:\uff1a*\n]",
    re.I,
)
_RULED_NOTE = re.compile(r"\n[ \t]*(?:-{3,}|\*{3,}|_{3,})[ \t]*\n")
_LAST_PARAGRAPH = re.compile(
    r"\n[ \t]*\n[ \t]*[*_(\[]*(?:this (?:\w+ ){0,2}?(?:version|rewrite|revision|prompt|instruction|question|task) "
    r"(?:now )?(?:adds?|makes?|increases?|introduces?|incorporates?|keeps?|maintains?)\b"
    rf"|{_I} (?:also )?(?:added|rewrote|rewritten|made|increased|included|kept|changed|modified|introduced)\b"
    r"(?=[^\n]*\b(?:constraints?|requirements?|complexity|complex|prompt|instruction|version)\b))"
    r"(?:(?!\n[ \t]*\n)[^?])*\Z",
    re.I,
)
_CLOSER = re.compile(
    r"\n[ \t]*\n?[ \t]*(?:(?:i )?hope (?:this|that|it) helps|let me know if|feel free to (?:ask|let me know)"
    r"|is there anything else|would you like me to (?:rewrite|make|adjust|add))[^\n]*\Z",
    re.I,
)
_COUNT = re.compile(
    r"\s{0,3}[(\[](?:\d+ words? added|(?:added )?words?(?: count)?(?: added)?\s*:\s*\d+|字数\s*[:\uff1a]\s*\d+)[)\]]\Z",
    re.I,
)


def repair(text: str) -> tuple[str, list[str]]:
    """Return the requested text of a reply, stripped, and the names of the rules that changed it.

    The rules are applied again if one of them changes the text, up to `MAX_ROUNDS` times: wrappers may be inside one
    another.
    """
    text, rules = text.strip(), list[str]()
    for _ in range(MAX_ROUNDS):
        before = text
        for rule, strip in _RULES:
            shorter = strip(text).strip()
            if shorter != text:
                text = shorter
                rules.append(rule)
        if text == before:
            break
    return text, list(dict.fromkeys(rules))


def _strip_preamble(text: str) -> str:
    return _without_start(_AFFIRMED, _without_start(_PREAMBLE, text))


def _strip_heading(text: str) -> str:
    return _without_start(_HEADING, text)


def _without_start(pattern: re.Pattern[str], text: str) -> str:
    """Return the text without the match of a pattern at its start. `sub` would look for one at every position."""
    found = pattern.match(text)
    return text[found.end() :] if found else text


def _strip_note(text: str) -> str:
    """Return the text without what a model says about its rewriting at the end, or its closing words."""
    end = text[-MAX_NOTE_CHARS:]
    has_lines = "\n" in end
    for pattern in (_LABELLED_NOTE, _RULED_NOTE) if has_lines else ():
        starts = [found.start() for found in pattern.finditer(end)]
        note = end[starts[-1] :] if starts else ""
        if note and _OF_REWRITING.search(note) and len(note) < len(text) and "```" not in note:
            return text[: -len(note)]
    patterns = ((_LAST_PARAGRAPH, has_lines), (_CLOSER, has_lines), (_COUNT, end.endswith((")", "]"))))
    for pattern, may_match in patterns:
        if may_match and (found := pattern.search(end)) and len(found[0]) < len(text):
            return text[: -len(found[0])]
    return text


def _strip_fence(text: str) -> str:
    match = _FENCE.match(text)
    return match["body"] if match else text


def _strip_json(text: str) -> str:
    """Return the text of a JSON object's only field, if the field is named like an instruction."""
    if not text.startswith("{"):
        return text
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(value, dict) or len(value) != 1:  # pyright: ignore[reportUnknownArgumentType]
        return text
    ((name, body),) = value.items()  # pyright: ignore[reportUnknownVariableType]
    named = _FIELD.search(str(name))  # pyright: ignore[reportUnknownArgumentType]
    return body if isinstance(body, str) and named else text


def _strip_tags(text: str) -> str:
    """Return the content of the one pair of tags around a text, if the tags are named like an instruction."""
    match = _TAGGED.match(text)
    if match is None or not _FIELD.search(match["name"]) or f"</{match['name']}>" in match["body"]:
        return text
    return match["body"]


def _strip_quotes(text: str) -> str:
    closing = _QUOTES.get(text[:1])
    if closing is None or len(text) < 2 or not text.endswith(closing):
        return text
    inner = text[1:-1]
    # with another quote inside, the outer two may not belong together, as in: "a" or "b"
    return text if text[0] in inner or closing in inner else inner


def _strip_invisible(text: str) -> str:
    return text.strip(_INVISIBLE)


def _strip_end_tokens(text: str) -> str:
    return _END_TOKENS.sub("", text) if text.endswith(">") else text


_RULES: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("invisible", _strip_invisible),
    ("end_token", _strip_end_tokens),
    ("preamble", _strip_preamble),
    ("note", _strip_note),
    ("heading", _strip_heading),
    ("code_fence", _strip_fence),
    ("json", _strip_json),
    ("tags", _strip_tags),
    ("quotes", _strip_quotes),
)
