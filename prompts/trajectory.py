"""Reads the list of methods from a reply to an Auto Evol-Instruct prompt."""

import re

_PLAN = re.compile(r"^\W*(?:step[ \t]*2\b|plan[ \t]*#)", re.I | re.MULTILINE)
_HEADER = re.compile(r"step[ \t]*1\b|methods?[ \t]+list", re.I)


def method_lines(reply: str) -> list[str]:
    """Return the lines of the list of methods: those before the second step, without headings and empty lines.

    Without a second step the result is empty, whereas 2412.11231 (keywords of evolution trajectories) would count one
    empty line.
    """
    plan = _PLAN.search(reply)
    lines = reply[: plan.start()].splitlines() if plan else []
    return [line.strip() for line in lines if line.strip() and not _HEADER.search(line)]
