"""What an unsuccessful answer of a server means: a matter of this request, of the moment, or of the account."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

FailureKind = Literal["account", "overloaded", "transient", "odd", "denied", "rejected", "row"]
OVERLOADED, RETRYABLE = frozenset({429, 503, 529}), frozenset({408, 409, 425})  # and all of 500 and above
DENIED = frozenset({403, 404})
_TOO_LONG = re.compile(
    r"context.(length|window|size)|max_model_len|maximum.*(length|tokens)|too long|inputs.{0,3} tokens", re.IGNORECASE
)
_FILTERED = re.compile(r"content.filter|content.policy|content management", re.IGNORECASE)
_FLAGGED = re.compile(  # of a prompt, or of an account: which of them is found out
    r"\bflagged\b|moderation|inappropriate content|data.inspection|content exists risk|sensitive content"
    r"|safety (system|filter|check)",
    re.IGNORECASE,
)
_ACCOUNT = re.compile(
    r"insufficient.(quota|balance|credit|fund)|(quota|balance|credit).{0,20}(exhausted|insufficient|used up)"
    r"|(quota|balance|credit)\w*.{0,20}(too low|negative|run out|exceeded)|(used|using) all.{0,20}(credit|quota)"
    r"|spending (limit|cap)|past (invoices|due)|overdue|arrear|in good standing|account.{0,20}(suspended|deactivated)"
    r"|check your plan and billing|payment required|billing.{0,20}(not active|disabled|hard limit)"
    r"|(add|purchase|buy) (\w+ )?credits"
    r"|api.key (is )?(expired|not valid|invalid|revoked)|(invalid|incorrect|expired|revoked).{0,12}api.?key"
    r"|api_key_invalid|key (has )?expired",
    re.IGNORECASE,
)
_PARAMETER = re.compile(
    r"unsupported|not supported|unrecognized|unknown|unexpected|not permitted|not allowed|extra|forbidden|invalid"
    r"|cannot|can't|only the default|does not support|deprecated|must|should be|out of range|(greater|less) than",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Failure:
    """An unsuccessful answer: what it means, a short reason for a failed row, and the server's own sentence.

    Kinds: "account": no request will be answered until somebody acts (key, credits). "overloaded": the server asks for
    fewer requests. "transient": a retry may help. "odd": a success that is not a completion. "denied" and "rejected":
    by status 403 or 404, or another one of 400 to 499, whether only for this request is to be found out. "row": it is
    clear that only this request is meant.
    """

    kind: FailureKind
    reason: str
    message: str


def http_failure(status: int, message: str, retry_after: str = "") -> Failure:
    """Return the meaning of an answer with an error status; 0 if the connection failed."""
    told = f"HTTP {status} {message}".strip() if status else message
    if status in (401, 402) or _is_about_account(status, message, retry_after):
        return Failure("account", f"http_{status}", told)
    if status in OVERLOADED:
        return Failure("overloaded", f"http_{status}", told)
    if status == 0:
        return Failure("transient", "no_answer", told)
    if status in RETRYABLE or status >= 500:
        return Failure("transient", f"http_{status}", told)
    if 300 <= status < 400:
        return Failure("denied", f"http_{status}", told)
    if _TOO_LONG.search(message):
        return Failure("row", "too_long", message)
    if _FILTERED.search(message):
        return Failure("row", "refused", message)
    reason = "refused" if _FLAGGED.search(message) else f"http_{status}"
    return Failure("denied" if status in DENIED else "rejected", reason, message)


def embedded_failure(code: Any, message: str) -> Failure:
    """Return the meaning of an error that a server sends with status 200; `code` is the one in its body, if any."""
    status = int(code) if isinstance(code, int) or (isinstance(code, str) and code.isdigit()) else 0
    if _is_about_account(status, message, "") or status in (401, 402):
        return Failure("account", "not_a_completion", message)
    if _FILTERED.search(message):
        return Failure("row", "refused", message)
    reason = "refused" if _FLAGGED.search(message) else "not_a_completion"
    return Failure("overloaded" if status in OVERLOADED else "odd", reason, message)


def odd(message: str) -> Failure:
    """Return the failure of an answer with status 200 that is not a completion."""
    return Failure("odd", "not_a_completion", message)


def parameter_hint(message: str, body: Mapping[str, Any]) -> str:
    """Return the option that would help if an error's message is about a parameter of the request, else an empty text.

    Args:
        message: The server's sentence.
        body: The request.
    """
    if "max_completion_tokens" in message and "max_completion_tokens" not in body:
        return "set 'options: {max_tokens_name: max_completion_tokens}' for this model"
    fixed = ("model", "messages", "prompt", "echo")
    named = [name for name in body if name not in fixed and re.search(rf"\b{name}\b", message)]
    if not named or not _PARAMETER.search(message):
        return ""
    return f"set 'options: {{drop: [{named[-1]}]}}' for this model, and it is not sent"


def _is_about_account(status: int, message: str, retry_after: str) -> bool:
    # some services use the same sentence for a limit per minute: they say when to ask again
    about = bool(_ACCOUNT.search(message))
    return about and not (status == 429 and (retry_after or "retryDelay" in message))
