"""Collects requests into batches, waits for their results, and hands each to the one who asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from actors.digest import digest
from actors.engine import EndpointRefused, EngineLost, RequestError
from actors.engines.http.batches.batch_log import BatchLog
from actors.engines.http.batches.service import BatchRejected, BatchRequest, BatchResult, BatchService
from actors.engines.http.client import HttpClient
from actors.engines.http.endpoint import Endpoint, describe_error
from actors.engines.http.exchange import AnswerFailure, Call
from actors.engines.http.failures import Failure, http_failure, odd, parameter_hint

Answer = TypeVar("Answer")
MAX_SENT = 3  # batches in which one request is sent, if it expires or fails at the server


@dataclass(slots=True)
class _OpenCall:
    """A request that has no answer yet, its body in the batch, and in how many batches it was sent."""

    id: str
    call: Call[Any]
    body: Mapping[str, Any]
    answer: asyncio.Future[Any]
    sent: int = 0


@dataclass
class BatchExchange:
    """Asks one endpoint for one model through its batch API. `retry_count` is the number of requests sent again.

    A batch is sent when no request has arrived for `quiet` seconds, or when it is full. Its results are asked for every
    `poll` seconds. Requests that an earlier process has sent are not sent again: their ids are digests of the requests.
    """

    endpoint: Endpoint
    model: str
    service: BatchService
    client: HttpClient
    log: BatchLog
    quiet: float
    poll: float
    retry_count: int = 0
    _open: dict[str, _OpenCall] = field(default_factory=dict[str, _OpenCall])
    _unsent: list[_OpenCall] = field(default_factory=list[_OpenCall])
    _results: dict[str, BatchResult] = field(default_factory=dict[str, BatchResult])
    _batch_of: dict[str, str] = field(default_factory=dict[str, str])  # by request id
    _loading: asyncio.Task[None] | None = None
    _watched: dict[str, asyncio.Task[None]] = field(default_factory=dict[str, asyncio.Task[None]])
    _sender: asyncio.Task[None] | None = None
    _judging: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _max_requests: int = 0

    async def ask(self, call: Call[Answer]) -> Answer:
        """Return what the call's `read` returns for the result of its request.

        Raises:
            RequestError: The endpoint does not answer this request, but others.
            EndpointRefused: It rejects the batch, or answers none of its requests, and says why.
            EngineLost: It does not answer, or the request has expired in several batches.
        """
        if self._loading is None:
            self._loading = asyncio.get_running_loop().create_task(self._read_log())
        await asyncio.shield(self._loading)
        body = self.service.translate(call.path, call.body)
        entry = _OpenCall(self._new_id(call), call, body, asyncio.get_running_loop().create_future())
        self._open[entry.id] = entry
        try:
            if entry.id in self._results:
                self._deliver([self._results.pop(entry.id)])
            elif entry.id in self._batch_of:
                self._watch(self._batch_of[entry.id])
            else:
                self._queue([entry])
            return await entry.answer
        finally:
            self._open.pop(entry.id, None)

    async def _read_log(self) -> None:
        self._batch_of |= await asyncio.to_thread(self.log.read)

    def _new_id(self, call: Call[Any]) -> str:
        """Return the digest of a request, with a number if an equal one is open."""
        name = digest("batch", call.path, json.dumps(call.body, sort_keys=True))
        return next(found for number in range(len(self._open) + 1) if (found := f"{name}-{number}") not in self._open)

    def _queue(self, entries: Sequence[_OpenCall]) -> None:
        self._unsent += entries
        self._arrived.set()
        if self._sender is None or self._sender.done():
            self._sender = asyncio.get_running_loop().create_task(self._send_batches())

    async def _send_batches(self) -> None:
        """Send the queued requests in batches of one route, each when it is full or when the queue stops growing."""
        while self._unsent:
            limit = self._max_requests or self.service.max_requests
            if len(self._unsent) < limit and await self._another_arrives():
                continue
            path = self._unsent[0].call.path
            batch = [entry for entry in self._unsent if entry.call.path == path][:limit]
            taken = {entry.id for entry in batch}
            self._unsent = [entry for entry in self._unsent if entry.id not in taken]
            await self._send([entry for entry in batch if entry.id in self._open])

    async def _another_arrives(self) -> bool:
        self._arrived.clear()
        try:
            return await asyncio.wait_for(self._arrived.wait(), self.quiet)
        except TimeoutError:
            return False

    async def _send(self, entries: Sequence[_OpenCall]) -> None:
        if not entries:
            return
        try:
            batch = await self.service.submit([BatchRequest(each.id, each.call.path, each.body) for each in entries])
        except Exception as error:
            for entry in entries:
                _answer(entry, error)
            return
        self._batch_of |= {entry.id: batch for entry in entries}
        for entry in entries:
            entry.sent += 1
        await asyncio.to_thread(self.log.add, batch, [entry.id for entry in entries])
        self._watch(batch)

    def _watch(self, batch: str) -> None:
        if batch not in self._watched:
            self._watched[batch] = asyncio.get_running_loop().create_task(self._fetch(batch))

    async def _fetch(self, batch: str) -> None:
        """Wait for a batch to end, and deliver its results."""
        try:
            while (results := await self.service.results(batch)) is None:
                await asyncio.sleep(self.poll)
        except BatchRejected as why:
            await asyncio.to_thread(self.log.remove, batch)
            self._reject(self._take_members(batch), why)
        except Exception as error:
            for name in self._take_members(batch):
                if name in self._open:
                    _answer(self._open[name], error)
        else:
            missing = self._take_members(batch) - {result.id for result in results}
            self._deliver([*results, *(BatchResult(name, 0, {}) for name in missing)])
        del self._watched[batch]

    def _take_members(self, batch: str) -> set[str]:
        """Return the ids of a batch's requests, which are in no batch from now on."""
        members = {name for name, its in self._batch_of.items() if its == batch}
        self._batch_of = {name: its for name, its in self._batch_of.items() if its != batch}
        return members

    def _reject(self, members: set[str], why: BatchRejected) -> None:
        """Fail a rejected batch's requests, unless an earlier process sent it or smaller batches may be accepted."""
        entries = [self._open[name] for name in members if name in self._open]
        if why.too_large and len(entries) > 1:
            self._max_requests = len(entries) // 2
        error = EndpointRefused(self.model, f"{self.endpoint.base} rejects the batch: {why.message}")
        for entry in entries:
            if entry.sent == 0 or (why.too_large and len(entries) > 1):
                self._queue([entry])
            else:
                _answer(entry, error)

    def _deliver(self, results: Sequence[BatchResult]) -> None:
        """Answer the open requests among these, and keep the other results until they are asked for."""
        self._results |= {result.id: result for result in results if result.id not in self._open}
        entries = [(self._open[result.id], result) for result in results if result.id in self._open]
        outcomes = [(entry, _outcome(entry, result)) for entry, result in entries]
        failures = [outcome for _, outcome in outcomes if isinstance(outcome, Failure)]
        refuses_all = 1 < len(failures) == len(results) and len({each.reason for each in failures}) == 1
        rejected = list[tuple[_OpenCall, Failure]]()
        for entry, outcome in outcomes:
            if not isinstance(outcome, Failure):
                _answer(entry, outcome)
            elif self._may_send(entry, outcome):
                self.retry_count += 1
                self._queue([entry])
            elif refuses_all and outcome.kind in ("rejected", "denied"):
                rejected.append((entry, outcome))
            else:
                _answer(entry, self._error(entry, outcome, refuses_all))

        if rejected:
            task = asyncio.get_running_loop().create_task(self._judge(rejected))
            self._judging.add(task)
            task.add_done_callback(self._judging.discard)

    async def _judge(self, rejected: Sequence[tuple[_OpenCall, Failure]]) -> None:
        """Fail the requests of a batch that were all rejected, as failed rows if a harmless one is answered."""
        call = rejected[0][0].call
        refuses_all = False
        try:
            await self.ask(replace(call, body=call.control, read=call.read_control))
        except (RequestError, EndpointRefused, EngineLost):
            refuses_all = True
        for entry, failure in rejected:
            _answer(entry, self._error(entry, failure, refuses_all))

    def _may_send(self, entry: _OpenCall, failure: Failure) -> bool:
        """Return whether to send a failed request again. One that failed for an earlier process always is."""
        return entry.sent == 0 or (failure.kind in ("transient", "overloaded", "odd") and entry.sent < MAX_SENT)

    def _error(self, entry: _OpenCall, failure: Failure, refuses_all: bool) -> Exception:
        """Return the error of a failed request: its own, or the endpoint's if that answers none of a batch."""
        if refuses_all and failure.kind in ("transient", "overloaded"):
            return EngineLost(self.model, f"{self.endpoint.base}: {failure.message}, in {entry.sent} batches")
        if failure.kind == "account" or (refuses_all and failure.kind in ("rejected", "denied")):
            hint = parameter_hint(failure.message, entry.call.body)
            detail = f"{self.endpoint.base}: {failure.message}" + (f": {hint}" if hint else "")
            return EndpointRefused(self.model, detail)
        return RequestError(failure.reason, failure.message)


def _outcome(entry: _OpenCall, result: BatchResult) -> Any:
    """Return what the call reads in a result, the error that it raises, or the failure."""
    if result.status == 0:
        return Failure("transient", "no_answer", "the request expired before the server processed it")
    if result.status != 200:
        return http_failure(result.status, describe_error(result.body))
    try:
        return entry.call.read(result.body)
    except AnswerFailure as why:
        return why.failure
    except RequestError as error:
        return error
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        return odd(f"the result is not a completion ({type(error).__name__}: {error})")


def _answer(entry: _OpenCall, outcome: Any) -> None:
    if entry.answer.done():
        return
    if isinstance(outcome, Exception):
        entry.answer.set_exception(outcome)
    else:
        entry.answer.set_result(outcome)
