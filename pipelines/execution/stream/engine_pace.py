"""The pace of a model's engines while a stream runs: tokens per second, and the share of replies that were cut off."""

from __future__ import annotations

import time

from actors.serving.spec import ReplicaStats

MAX_CUT_SHARE = 0.1  # of the replies; beyond it, the limit of tokens is probably too low
MIN_REPLIES = 20  # from which the share of cut replies is shown


class EnginePace:
    """Compares a model's statistics with those at the start of the stream."""

    def __init__(self, first: ReplicaStats) -> None:
        self._first, self._last, self._started = first, first, time.monotonic()

    def observe(self, stats: ReplicaStats) -> None:
        """Record the current statistics."""
        self._last = stats

    def describe(self) -> str:
        """Return the pace in a few words; empty before the first answer."""
        cut = f"{self._cut_share():.0%} cut off" if self._cut_share() else ""
        remedy = ": raise max_tokens" if self._cut_share() > MAX_CUT_SHARE else ""
        return ", ".join(filter(None, (self._tokens(), cut + remedy)))

    def warning(self) -> str:
        """Return what to do about cut replies at the end of the stream; empty if they are few."""
        if self._cut_share() <= MAX_CUT_SHARE:
            return ""
        return (
            f"{self._cut_share():.0%} of {self._replies():,} replies were cut off at the limit of tokens: raise "
            "'max_tokens' of the steps that ask this model"
        )

    def _tokens(self) -> str:
        written = self._last.tokens_out - self._first.tokens_out
        tokens = written or self._last.tokens_in - self._first.tokens_in
        rate = tokens / max(time.monotonic() - self._started, 1e-3)
        return f"{rate:,.0f} tokens/s" if rate >= 10 else f"{rate:.2g} tokens/s" if tokens else ""

    def _replies(self) -> int:
        return self._last.replies - self._first.replies

    def _cut_share(self) -> float:
        replies = self._replies()
        return (self._last.cut - self._first.cut) / replies if replies >= MIN_REPLIES else 0.0
