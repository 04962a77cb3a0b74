"""Exceptions of the store: a study that another driver is running, a lost lease, a corrupt file."""

from __future__ import annotations

from cluster.errors import EvolgridError


class StudyLocked(EvolgridError):
    """Another driver is running the study, or steps that it needs. The message says which, and what to do."""


class LeaseLost(EvolgridError):
    """Another driver has taken over the study, so this one must not write to the store."""


class CorruptStore(EvolgridError):
    """The store's content differs from what was written. The message says where, and what to do."""
