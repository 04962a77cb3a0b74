"""Time the first paint of `evolgrid ui` on a study of 1,000 steps, in the system's Chromium, without a display.

Run it with `python -m benchmarks.ui_paint`. It writes a finished study of scripted models to a temporary folder. Each
view is opened in a new tab. `paint` is the browser's own first paint, `content` the time until the view shows its
content, both in seconds since the start of the navigation; the best of several runs. The ratio compares the slowest
first paint with that of a static page in the same browser.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.support.lab import figure
from pipelines.execution.runtime.commit import commit_rows, commit_step
from pipelines.results.report.graph import save_study_graph
from pipelines.rows.types import AnswerRow
from pipelines.store.manifest import Account
from pipelines.store.store import Store
from pipelines.store.studies.step_index import save_step_index
from pipelines.study.file.study_type import study_type
from pipelines.study.graph.build import build
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.study import Study
from pipelines.ui.server import prepare

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
VIEWS = {"studies": "", "graph of steps": "large/overview", "steps": "large/steps", "grid": "large/results"}
ANSWERS, RUNS = 150, 3
GOAL_SECONDS = 1.0
STATIC_PAGE = "data:text/html,<h1>static</h1>"
PAINT = "() => (performance.getEntriesByName('first-paint')[0] || {}).startTime"
CONTENT = "() => document.querySelector('main[aria-busy=false] h1') && performance.now()"
WAIT = 60_000  # milliseconds


class Times(NamedTuple):
    """Seconds from the start of a navigation to the first paint, and to the content of the view."""

    paint: float
    content: float


def study(name: str, evolvers: int, teachers: int) -> Study:
    """Return a study of 3 rounds of each evolver with scores, and two students for every data set."""
    names = [f"model-{number}" for number in range(max(evolvers, teachers))]
    described: dict[str, Any] = {
        "study": name,
        "seeds": [{"name": "world", "world": {"count": 20}}],
        "models": {name: {"source": name, "engine": "scripted"} for name in names},
        "evolution": {"evolvers": names[:evolvers], "rounds": 3},
        "responses": {"teachers": names[:teachers]},
        "scoring": {"scorer": names[0]},
        "recipes": {"full": {}},
        "students": [{"model": name, "recipe": "full"} for name in names[:2]],
        "benchmarks": [{"name": "world", "world": {"count": ANSWERS}}],
    }
    return study_type().model_validate(described)


def write_study(store: Store, large: Study) -> int:
    """Finish the open steps of a study, its evaluations with answers; return the number of its steps."""
    grid, finished = build(large, Path()), store.finished_keys()
    for number, step in enumerate(grid.steps.values()):
        if step.key not in finished:
            finish(store, step, number)
    save_study_graph(store, large, Path(), grid)
    save_step_index(store, large.study, grid.steps)
    return len(grid.steps)


def finish(store: Store, step: Step, number: int) -> None:
    """Commit a step, without rows unless it is an evaluation."""
    if step.kind != "evaluate":
        extra = {"losses": [(1, 2.0), (2, 1.0)], "speed": {"tokens_per_second": 100.0}, "placement": {"together": 1}}
        commit_step(store, step, Account(rows_in=20, rows_out=20), (), 1.0, extra if step.kind == "train" else {})
        return
    rows = [answer(item, (item * 7 + number) % 5 == 0) for item in range(ANSWERS)]
    commit_rows(store, step, [*rows], [], ANSWERS, 1.0)


def answer(item: int, correct: bool) -> AnswerRow:
    """Return a graded answer."""
    return AnswerRow(
        id=f"{item:032x}",
        parent_id="",
        seed_id="",
        index=item,
        task="copy",
        level=item % 3,
        instruction=f"Copy {item}",
        reference=str(item),
        response=str(item),
        correct=correct,
        item=str(item),
        measures=["accuracy"],
        values=[float(correct)],
        weights=[1.0],
    )


@contextmanager
def served(store: Store) -> Generator[str]:
    """Serve the page of a store within the block, and yield its address."""
    page = prepare(store, 0)
    thread = threading.Thread(target=lambda: page.serve(open_browser=False))
    thread.start()
    try:
        yield page.url
    finally:
        page.server.should_exit = True
        thread.join()


@contextmanager
def window() -> Generator[Any]:
    """Yield a window of the system's Chromium."""
    from playwright.sync_api import sync_playwright

    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        raise SystemExit(f"there is no browser: none of {', '.join(BROWSERS)} is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser.new_context(viewport={"width": 1280, "height": 900})
        browser.close()


def measure(context: Any, address: str, content: str) -> Times:
    """Open an address in a new tab; `content` is a function of the page that returns when its content is shown."""
    tab = context.new_page()
    tab.goto(address)
    shown = tab.wait_for_function(content, timeout=WAIT).json_value()
    painted = tab.wait_for_function(PAINT, timeout=WAIT).json_value()
    tab.close()
    return Times(painted / 1000, shown / 1000)


def best(context: Any, address: str, content: str) -> Times:
    """Return the shortest times of several runs: other processes can only add time."""
    runs = [measure(context, address, content) for _ in range(RUNS)]
    return Times(min(run.paint for run in runs), min(run.content for run in runs))


def main() -> None:
    """Print the times of each view and the figures."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        steps = write_study(store, study("large", 8, 6))
        write_study(store, study("small", 1, 1))
        print(f"{steps:,} steps\n{'view':<24} {'paint s':>8} {'content s':>10}")
        found: list[Times] = []
        with served(store) as url, window() as context:
            first = measure(context, f"{url}#/{VIEWS['grid']}", CONTENT)  # reads the answers: nothing is cached yet
            print(f"{'grid, first visit':<24} {first.paint:>8.2f} {first.content:>10.2f}")
            static = best(context, STATIC_PAGE, PAINT)
            for name, view in VIEWS.items():
                found.append(one := best(context, f"{url.partition('?')[0]}#/{view}", CONTENT))
                print(f"{name:<24} {one.paint:>8.2f} {one.content:>10.2f}", flush=True)
        print(f"{'static page':<24} {static.paint:>8.2f}")
    slowest = Times(*map(max, itertools.zip_longest(first, *found)))
    figure("ui_paint.seconds", slowest.paint, f"<={GOAL_SECONDS}")
    figure("ui_paint.content_seconds", slowest.content, f"<={GOAL_SECONDS}")
    figure("ui_paint.ratio", slowest.paint / static.paint, "<=10")


if __name__ == "__main__":
    main()
