"""Steps of a stream of which most rows have failed for the same reason: they stay unfinished."""

from __future__ import annotations

from pipelines.errors import StepFailed
from pipelines.store.failed_rows import common_failure, first_detail, forget_failed_rows
from pipelines.store.manifest import Account
from pipelines.store.store import Store
from pipelines.study.graph.steps.step import Step


class CommonFailures:
    """Finds such steps. They lose their failed rows, so that the next run asks for them again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._problems: dict[str, str] = {}  # by step key; empty if the step's source is the cause

    def follows(self, step: Step) -> bool:
        """Return whether the step is made from one of them. It is one of them then."""
        if found := step.inputs[0].key in self._problems:
            self._problems[step.key] = ""
        return found

    def has(self, step: Step, account: Account) -> bool:
        """Return whether the step with this account is one of them. A step must come after its source."""
        if self.follows(step):
            return True
        if reason := common_failure(account):
            count = f"{account.reasons[reason]} of {account.rows_in} rows of '{step.label}' failed alike"
            detail = first_detail(self._store, step.kind, step.key, reason)
            self._problems[step.key] = f"{count}: {reason}: {detail}"
            forget_failed_rows(self._store, step.kind, step.key)
        return step.key in self._problems

    def raise_first(self) -> None:
        """Raise the first failure, if there is any.

        Raises:
            StepFailed: Most rows of a step have failed alike.
        """
        if told := [problem for problem in self._problems.values() if problem]:
            raise StepFailed(f"{told[0]}. Finished work is kept: fix the cause, then run the study again")
