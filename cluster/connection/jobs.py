"""Runs studies as jobs of a cluster's job server: on the head node, independently of the process that submits them."""

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
READY_TIMEOUT = 60.0  # a head node answers before it can accept jobs; until then it replies with this message:
NO_AGENT_MESSAGE = "No available agent"
STOP_TIMEOUT_VARIABLE = (
    "RAY_JOB_STOP_WAIT_TIME_S"  # from SIGTERM to SIGKILL; Ray's default of 3 is too short to save finished rows
)
UNREACHABLE_HINT = "check the tunnel to the head (ray dashboard, kubectl port-forward)"
LOGS_IN_MESSAGE = ", last available logs"  # Ray repeats the end of a failed job's output in its message
FINISHED_STATUSES = ("SUCCEEDED", "FAILED", "STOPPED")


class JobServerUnreachable(ClusterError):
    """A job server cannot be reached, or the connection was lost during a request. Its jobs are not affected."""


@dataclass(frozen=True, slots=True)
class StudyJob:
    """A submitted study. `status` is Ray's job status. Times are in seconds since 1970, or None if still unknown."""

    id: str
    study: str
    status: str
    message: str
    started: float | None
    ended: float | None

    @property
    def is_finished(self) -> bool:
        """Whether the job has succeeded, failed or been stopped."""
        return self.status in FINISHED_STATUSES


class Jobs:
    """A client of a cluster's job server that uses this user's token.

    All methods raise JobServerUnreachable if the server does not answer.
    """

    def __init__(self, address: str) -> None:
        """Connect to the job server at `address` ("http://host:port").

        Raises:
            ClusterError: The server rejects the token, or accepts jobs without a token.
        """
        self.address = address
        self._client = _client(address)

    def submit(self, study: str, command: Sequence[str], folder: Path, modules: Sequence[str] = ()) -> str:
        """Run `command` in a copy of `folder` on the head, with this process's evolgrid. Return the job's id.

        `modules` are the paths of more packages that are uploaded for the command to import.

        Raises:
            ClusterError: The server rejects the job.
        """
        import shlex

        id = f"{study}-{secrets.token_hex(4)}"  # Ray rejects ids that were used before
        # the driver sets the same runtime environment again, which Ray would report as a conflict
        settings = {"RAY_OVERRIDE_JOB_RUNTIME_ENV": "1", STOP_TIMEOUT_VARIABLE: "60"}
        shipped = package_code(modules) | {"working_dir": str(folder), "env_vars": settings}
        job = {"entrypoint": shlex.join(command), "submission_id": id, "runtime_env": shipped}
        deadline = time.monotonic() + READY_TIMEOUT
        while True:
            try:
                return _call_server(self._client.submit_job, **job, metadata={"study": study})
            except JobServerUnreachable as error:
                remedy = f"{id} may have been started: check with `evolgrid jobs` before you submit again"
                raise JobServerUnreachable(f"{error}; {remedy}") from error
            except ClusterError as error:
                if NO_AGENT_MESSAGE not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(1)

    def all(self) -> list[StudyJob]:
        """Return all studies of the job server, newest first."""
        details = [each for each in _call_server(self._client.list_jobs) if (each.metadata or {}).get("study")]
        return sorted(map(_to_study_job, details), key=lambda job: job.started or 0.0, reverse=True)

    def find(self, name: str) -> StudyJob:
        """Return the job with this id, or the newest job of the study with this name.

        Raises:
            ClusterError: There is no such job.
        """
        jobs = self.all()
        for job in jobs:
            if name in (job.id, job.study):
                return job
        known = ", ".join(job.id for job in jobs[:10]) or "none"
        raise ClusterError(f"the cluster at {self.address} has no job '{name}'; its jobs: {known}")

    def logs(self, job: StudyJob) -> str:
        """Return the job's output so far."""
        return _call_server(self._client.get_job_logs, job.id)

    async def tail_logs(self, id: str) -> AsyncIterator[str]:
        """Yield the job's output from its beginning until the job finishes."""
        from aiohttp import ClientError

        try:
            async for text in self._client.tail_job_logs(id):
                yield text
        except (OSError, RuntimeError, ClientError) as error:
            raise _unreachable_error(error) from error

    def stop(self, job: StudyJob) -> None:
        """Stop a job with SIGTERM. Its run saves all finished rows, so that a new run can resume there."""
        _call_server(self._client.stop_job, job.id)


def _client(address: str) -> JobSubmissionClient:
    from cluster.connection.auth import use_token

    if not address.startswith(("http://", "https://")):
        raise ClusterError(
            f"'{address}' is not the address of a job server; use the dashboard's, for example {EXAMPLE_ADDRESS}"
        )
    if not _requires_token(address) and os.environ.get("EVOLGRID_ALLOW_UNAUTHENTICATED") != "1":
        raise ClusterError(
            f"the job server at {address} requires no token, so everyone who can reach it can run code there. Start "
            "its cluster with RAY_AUTH_MODE=token, or set EVOLGRID_ALLOW_UNAUTHENTICATED=1 if nobody else can reach it"
        )
    use_token(required=True)
    from ray.job_submission import JobSubmissionClient

    client = _call_server(JobSubmissionClient, address)
    for part in JobSubmissionClient.__mro__:  # hides messages about uploads and closed connections
        logging.getLogger(part.__module__).setLevel(logging.WARNING)  # each module has a level of its own
    _call_server(client.list_jobs)  # detects a wrong token early
    return client


def _requires_token(address: str) -> bool:
    """Return whether the server rejects requests without a token."""
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
    """Call a method of the server's client and return the result.

    Raises:
        ClusterError: The server rejects the token or the request.
        JobServerUnreachable: The server does not answer.
    """
    from ray.exceptions import AuthenticationError

    try:
        return call(*given, **named)
    except AuthenticationError as error:
        raise ClusterError(
            "the job server rejects the token, or no token was found; put the cluster's token into ~/.ray/auth_token "
            "(mode 0600) or set RAY_AUTH_TOKEN_PATH to its file"
        ) from error
    except OSError as error:  # includes the errors of the HTTP library that Ray uses
        raise _unreachable_error(error) from error
    except (RuntimeError, ValueError) as error:
        raise ClusterError(f"the job server rejected the request: {_shorten(error)}") from error


def _unreachable_error(error: Exception) -> JobServerUnreachable:
    return JobServerUnreachable(f"the job server does not answer ({_shorten(error)}); {UNREACHABLE_HINT}")


def _shorten(error: Exception) -> str:
    return " ".join(str(error).split())[:600]


def _to_study_job(details: JobDetails) -> StudyJob:
    return StudyJob(
        id=details.submission_id or "",
        study=(details.metadata or {})["study"],
        status=str(details.status),
        message=(details.message or "").partition(LOGS_IN_MESSAGE)[0],
        started=details.start_time and details.start_time / 1000,
        ended=details.end_time and details.end_time / 1000,
    )
