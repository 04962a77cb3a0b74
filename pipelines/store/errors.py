"""Errors of the store: a study that another driver holds, a lost lease, a damaged file."""

from __future__ import annotations


class StudyLocked(Exception):
    """Another driver works on the study, or on steps that it needs; the message says which and what to do."""


class LeaseLost(Exception):
    """Another driver has taken over: nothing more may be written."""


class CorruptStore(RuntimeError):
    """The store does not hold what was written to it; the message says what is wrong, and what to do."""
