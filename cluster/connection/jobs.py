"""Studies as jobs of a cluster's job server: they run on its head and go on when whoever submitted them is gone."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.connection.code_shipping import package_code
from cluster.errors import ClusterError

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

EXAMPLE_ADDRESS = "http://127.0.0.1:8265"
REQUEST_TIMEOUT = 20.0
READY_TIMEOUT = 60.0  # a head that has just started answers before it can take jobs, with these words:
NO_AGENT_MESSAGE = "No available agent"
STOP_TIMEOUT_VARIABLE = (
    "RAY_JOB_STOP_WAIT_TIME_S"  # from SIGTERM to SIGKILL; Ray's own 3 are too few to save what is finished
)
UNREACHABLE_HINT = "is the way to the head open (ray dashboard, kubectl port-forward)?"
FINISHED_STATUSES = ("SUCCEEDED", "FAILED", "STOPPED")


class JobServerUnreachable(ClusterError):
    """The way to a job server is closed, or closed while it was asked; its jobs do not notice."""


@dataclass(frozen=True, slots=True)
class StudyJob:
    """A submitted study. `status` is Ray's word; times are seconds since 1970, None while they have not come."""

    id: str
    study: str
    status: str
    message: str
    started: float | None
    ended: float | None

    @property
    def is_finished(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.status in FINISHED_STATUSES


class Jobs:
    """The job server of a cluster at "http://host:port", asked with this user's token.

    ClusterError if it refuses the token, or takes jobs from everyone who reaches it. Everything here raises Unreachable
    if it does not answer.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._client = _client(address)

    def submit(self, study: str, command: Sequence[str], folder: Path) -> str:
        """Start `command` in a copy of `folder` on the head, with this process's own evolgrid; return the job's id."""
        import shlex

        id = f"{study}-{secrets.token_hex(4)}"  # one that was used before would be refused
        # the driver brings the same code again, which Ray takes for a conflict
        settings = {"RAY_OVERRIDE_JOB_RUNTIME_ENV": "1", STOP_TIMEOUT_VARIABLE: "60"}
        shipped = package_code() | {"working_dir": str(folder), "env_vars": settings}
        job = {"entrypoint": shlex.join(command), "submission_id": id, "runtime_env": shipped}
        deadline = time.monotonic() + READY_TIMEOUT
        while True:
            try:
                return _call_server(self._client.submit_job, **job, metadata={"study": study})
            except JobServerUnreachable as error:
                remedy = f"whether {id} was started is not known: look with `evolgrid jobs` before submitting again"
                raise JobServerUnreachable(f"{error}; {remedy}") from error
            except ClusterError as error:
                if NO_AGENT_MESSAGE not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(1)

    def all(self) -> list[StudyJob]:
        """All studies that the cluster knows, the newest first."""
        details = [each for each in _call_server(self._client.list_jobs) if (each.metadata or {}).get("study")]
        return sorted(map(_to_study_job, details), key=lambda job: job.started or 0.0, reverse=True)

    def find(self, name: str) -> StudyJob:
        """The job with this id, or the newest of the study with this name. ClusterError if there is none."""
        jobs = self.all()
        for job in jobs:
            if name in (job.id, job.study):
                return job
        known = ", ".join(job.id for job in jobs[:10]) or "it has none"
        raise ClusterError(f"the cluster at {self.address} has no job '{name}'; its jobs: {known}")

    def logs(self, job: StudyJob) -> str:
        """All that the job has printed so far."""
        return _call_server(self._client.get_job_logs, job.id)

    async def tail_logs(self, id: str) -> AsyncIterator[str]:
        """What the job prints, from its beginning until it ends."""
        from aiohttp import ClientError

        try:
            async for text in self._client.tail_job_logs(id):
                yield text
        except (OSError, RuntimeError, ClientError) as error:
            raise _unreachable_error(error) from error

    def stop(self, job: StudyJob) -> None:
        """End a job by SIGTERM: its run saves what is finished, and a new one continues there."""
        _call_server(self._client.stop_job, job.id)


def _client(address: str) -> JobSubmissionClient:
    from cluster.connection.auth import use_token

    if not address.startswith(("http://", "https://")):
        raise ClusterError(f"'{address}' is no job server: give its dashboard, for example {EXAMPLE_ADDRESS}")
    if not _requires_token(address) and os.environ.get("EVOLGRID_ALLOW_UNAUTHENTICATED") != "1":
        raise ClusterError(
            f"the job server at {address} asks for no token: everyone who reaches it can run code there. "
            "Start its cluster with RAY_AUTH_MODE=token, or set EVOLGRID_ALLOW_UNAUTHENTICATED=1 if no one else can"
        )
    use_token(required=True)
    from ray.job_submission import JobSubmissionClient

    client = _call_server(JobSubmissionClient, address)
    logging.getLogger("ray").setLevel(logging.WARNING)  # what it uploads is of no interest
    _call_server(client.list_jobs)  # tells a wrong token now
    return client


def _requires_token(address: str) -> bool:
    """Whether the server refuses somebody without a token."""
    from urllib.error import HTTPError
    from urllib.request import urlopen

    try:
        urlopen(f"{address.rstrip('/')}/api/jobs/", timeout=REQUEST_TIMEOUT).close()
    except HTTPError as error:
        return error.code in (401, 403)
    except OSError as error:
        raise JobServerUnreachable(f"no job server answers at {address}; {UNREACHABLE_HINT}") from error
    return False


def _call_server(call: Any, *given: Any, **named: Any) -> Any:
    """The server's answer; what it refuses, in its words."""
    from ray.exceptions import AuthenticationError

    try:
        return call(*given, **named)
    except AuthenticationError as error:
        raise ClusterError(
            "the job server refuses the token, or there is none: put the cluster's into ~/.ray/auth_token (mode 0600) "
            "or name its file in RAY_AUTH_TOKEN_PATH"
        ) from error
    except OSError as error:  # so are those of the library that Ray asks through
        raise _unreachable_error(error) from error
    except (RuntimeError, ValueError) as error:
        raise ClusterError(f"the job server refused: {_shorten(error)}") from error


def _unreachable_error(error: Exception) -> JobServerUnreachable:
    return JobServerUnreachable(f"the job server does not answer ({_shorten(error)}); {UNREACHABLE_HINT}")


def _shorten(error: Exception) -> str:
    return " ".join(str(error).split())[:600]


def _to_study_job(details: JobDetails) -> StudyJob:
    return StudyJob(
        id=details.submission_id or "",
        study=(details.metadata or {})["study"],
        status=str(details.status),
        message=details.message or "",
        started=details.start_time and details.start_time / 1000,
        ended=details.end_time and details.end_time / 1000,
    )
