"""The page as an application: its files, one resource per view as JSON, and a stream of changes."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import duckdb
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from pipelines.errors import InputError
from pipelines.store.errors import CorruptStore
from pipelines.ui.access import Access
from pipelines.ui.reading.parameters import Parameters
from pipelines.ui.reading.reader import NotFound, StoreReader, StudyState
from pipelines.ui.resources import (
    comparisons,
    engines,
    overview,
    results,
    row_lineage,
    rows,
    scores,
    search,
    steps,
    training,
)

STATIC = Path(__file__).parent / "static"
POLL_SECONDS = 1.5
PING_SECONDS = 10
REPORT_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; sandbox allow-scripts"
)
Resource = Callable[[StoreReader, StudyState, Parameters], Any]
RESOURCES: dict[str, Resource] = {
    "overview": overview.study_overview,
    "steps": steps.list_steps,
    "step": steps.step_detail,
    "engines": engines.list_engines,
    "logs": engines.list_messages,
    "rows": rows.page_of_rows,
    "count": rows.count_rows,
    "row": row_lineage.row_chain,
    "scores": scores.distributions,
    "results": results.list_results,
    "cell": results.cell_detail,
    "search": search.search_state,
    "comparison": comparisons.compare,
    "losses": training.list_losses,
    "costs": overview.study_costs,
}


class _Json(JSONResponse):
    def render(self, content: Any) -> bytes:
        try:
            return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")
        except ValueError:
            return json.dumps(_finite(content), separators=(",", ":")).encode("utf-8", "replace")


def make_app(reader: StoreReader, token: str, port: int) -> Starlette:
    """Return the application for a store, which `port` of this machine serves to those who have the token."""

    def studies(request: Request) -> Response:
        return _answer(lambda: overview.list_studies(reader))

    def resource(request: Request) -> Response:
        handler = RESOURCES.get(request.path_params["resource"])
        if handler is None:
            return _error(404, "there is no such resource")
        return _answer(
            lambda: handler(reader, reader.study(request.path_params["study"]), Parameters(request.query_params))
        )

    def report(request: Request) -> Response:
        try:
            page = reader.file(reader.study(request.path_params["study"]), "report", "index.html")
        except (NotFound, FileNotFoundError):
            return _error(404, "this study has no report yet")
        return Response(page, media_type="text/html", headers={"content-security-policy": REPORT_POLICY})

    async def changes(request: Request) -> Response:
        return EventSourceResponse(_changes(reader), ping=PING_SECONDS)

    return Starlette(
        routes=[
            Route("/", lambda request: FileResponse(STATIC / "index.html")),
            Route("/api/studies", studies),
            Route("/api/changes", changes),
            Route("/api/studies/{study}/{resource}", resource),
            Route("/report/{study}", report),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[Middleware(Access, token=token, port=port)],
    )


async def _changes(reader: StoreReader) -> AsyncIterator[dict[str, str]]:
    """Yield the names of the studies that have changed, until the client leaves."""
    before: dict[str, str] | None = None
    while True:
        try:
            found = await run_in_threadpool(reader.versions)
        except (OSError, CorruptStore):  # a store that cannot be read at present: the views say why
            found = before
        if found is not None and found != before:
            changed = [name for name in found if before is not None and before.get(name) != found[name]]
            removed = [name for name in before or {} if name not in found]
            yield {"event": "change", "data": json.dumps(changed + removed)}
            before = found
        await asyncio.sleep(POLL_SECONDS)


def _answer(work: Callable[[], Any]) -> Response:
    try:
        return _Json(work())
    except NotFound as error:
        return _error(404, str(error))
    except InputError as error:
        return _error(400, str(error))
    except CorruptStore as error:
        return _error(500, str(error))
    except duckdb.InterruptException:
        return _error(503, "the search took too long: narrow it down to fewer steps")
    except (OSError, duckdb.Error) as error:
        return _error(500, f"the store cannot be read: {' '.join(str(error).split())}")


def _error(status: int, message: str) -> Response:
    return _Json({"error": message}, status)


def _finite(value: Any) -> Any:
    """Return a value without NaN and infinities, which JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]  # pyright: ignore[reportUnknownVariableType]
    return value
