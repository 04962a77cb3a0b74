"""Names of repositories on the hub: one data set for all sets of a study, and one model for each student."""

from __future__ import annotations

import hashlib
import re

from huggingface_hub.utils import HFValidationError, validate_repo_id

from pipelines.errors import InputError

MAX_NAME = 96  # of the hub, without the owner
_DIGITS = 8


def check_target(target: str) -> str:
    """Return the name of the data set's repository, ORG/NAME.

    Raises:
        InputError: The hub does not allow the name.
    """
    remedy = "Give the owner and a name, such as 'my-org/my-study'."
    if target.count("/") != 1:
        raise InputError(f"'{target}' is not of the form ORG/NAME", field="--to", remedy=remedy)
    try:
        validate_repo_id(target)
    except HFValidationError as error:
        raise InputError(" ".join(str(error).split()).rstrip("."), field="--to", remedy=remedy) from None
    return target


def student_repository(target: str, student: str) -> str:
    """Return the name of a student's repository: ORG/NAME-STUDENT, shortened with a digest if it is too long."""
    owner, _, name = target.partition("/")
    whole = re.sub(r"([-.])[-.]+", r"\1", f"{name}-{student}").rstrip("-.")
    if len(whole) > MAX_NAME:
        digest = hashlib.sha256(whole.encode()).hexdigest()[:_DIGITS]
        whole = f"{whole[: MAX_NAME - _DIGITS - 1].rstrip('-.')}-{digest}"
    return f"{owner}/{whole}"
