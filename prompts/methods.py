"""Reads Auto Evol-Instruct replies: an instruction below the last of several headings, a method in a labelled block."""

import re

PLACEHOLDER = "{instruction}"

_FINAL_HEADING = re.compile(
    r"[#*_]*[ \t]*(?:finally[ \t]+rewritten|final[ \t]+(?:rewritten|evolved|refined))[ \t]+(?:instruction|prompt)"
    r"[ \t]*[#*_]*[ \t]*:?[#*_]*",
    re.I,
)
_LABELLED = re.compile(r"^```[ \t]*optimi[sz]ed[ _-]?method\b[^\n]*\n(?P<body>.*)^```", re.I | re.DOTALL | re.MULTILINE)
_FENCED = re.compile(r"^```[^\n]*\n(?P<body>.*?)^```", re.DOTALL | re.MULTILINE)


def fill(method: str, instruction: str) -> str:
    """Return a method's prompt for one instruction, whose text is never interpreted as part of the method."""
    return method.replace(PLACEHOLDER, instruction)


def after_final_heading(text: str) -> str | None:
    """Return the text below the last heading of a final instruction, stripped, or None without one.

    The headings are those that the code of 2406.00770 reads: finally rewritten, final rewritten, evolved or refined.
    """
    found = list(_FINAL_HEADING.finditer(text))
    return text[found[-1].end() :].strip() if found else None


def labelled_block(text: str) -> str | None:
    """Return the block labelled as the optimized method, or None. It ends at the last fence and may contain others."""
    match = _LABELLED.search(text)
    return match["body"].strip() if match else None


def only_block(text: str) -> str | None:
    """Return the content of a reply's only fenced block, with any label, or None if there is not exactly one."""
    blocks = list(_FENCED.finditer(text))
    return blocks[0]["body"].strip() if len(blocks) == 1 else None
