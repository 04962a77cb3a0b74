"""Detects refusals by their opening words (Cherry_LLM, 2308.12032, filters data by such phrases)."""

from __future__ import annotations

REFUSAL_OPENINGS = tuple(
    """\
as a language model, i
as an ai language model, i
as an ai, i
as an ai assistant, i
i am not able to
i am unable to
i apologize, but i
i can not
i can't
i cannot
i decline to
i do not have the ability to
i don't have the ability to
i have to decline
i must decline
i will not
i won't
i'm afraid i can
i'm not able to
i'm sorry, but i
i am sorry, but i
i'm unable to
it is not possible for me to
my apologies, but i
sorry, but i
sorry, i can
unfortunately, i am
unfortunately, i can
unfortunately, i'm
we are unable to
we cannot
""".splitlines()
)


def is_refusal(answer: str) -> bool:
    """Return whether an English answer starts like a refusal. False positives and false negatives are possible."""
    opening = " ".join(answer[:200].lower().replace("\u2019", "'").split()).lstrip("\"'*_#>- ")
    return opening.startswith(REFUSAL_OPENINGS)
