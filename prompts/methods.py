"""Auto Evol-Instruct's replies: an instruction below the last of several headings, a method in a labelled block."""

import re

PLACEHOLDER = "{instruction}"

_FINAL_HEADING = re.compile(
    r"[#*_]*[ \t]*finally[ \t]+rewritten[ \t]+(?:instruction|prompt)[ \t]*[#*_]*[ \t]*:?[#*_]*", re.I
)
_LABELLED = re.compile(r"^```[ \t]*optimi[sz]ed[ _-]?method\b[^\n]*\n(?P<body>.*)^```", re.I | re.DOTALL | re.MULTILINE)
_FENCED = re.compile(r"^```[^\n]*\n(?P<body>.*?)^```", re.DOTALL | re.MULTILINE)


def fill(method: str, instruction: str) -> str:
    """The prompt of a method for one instruction, which is never read as a part of the method."""
    return method.replace(PLACEHOLDER, instruction)


def after_final_heading(text: str) -> str | None:
    """What stands below the last final heading, stripped; None if there is no such heading."""
    found = list(_FINAL_HEADING.finditer(text))
    return text[found[-1].end() :].strip() if found else None


def labelled_block(text: str) -> str | None:
    """The content of the block that is labelled as the optimized method (up to the last fence: it may have its own)."""
    match = _LABELLED.search(text)
    return match["body"].strip() if match else None


def only_block(text: str) -> str | None:
    """The content of a reply's one fenced block, whatever its label; None if there is none, or more than one."""
    blocks = list(_FENCED.finditer(text))
    return blocks[0]["body"].strip() if len(blocks) == 1 else None
