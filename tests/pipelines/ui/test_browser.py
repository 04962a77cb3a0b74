"""The page in a real browser: the system's Chromium, in wide and narrow, light and dark windows."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from pipelines.execution.live_recorder import LiveRecorder
from pipelines.rows.types import ResponseRow
from pipelines.store.lease import acquire
from pipelines.store.shards import write_shard
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import Grid
from pipelines.ui.resources import results
from pipelines.ui.server import prepare
from tests.pipelines.execution.search.test_decisions import RUNGS, Killed, Table, run, searched
from tests.pipelines.ui.conftest import add_search, progress, unlog

NAMES = ("chromium", "chromium-browser", "google-chrome")
VIEWS = {
    "overview": "scripted",
    "steps": "Steps",
    "rows": "Rows",
    "results": "Results",
    "search": "Search",
    "compare": "Compare",
    "scores": "Scores",
    "losses": "Losses",
    "engines": "Engines",
    "costs": "Costs",
    "log": "Log",
}
WAIT = 60_000  # milliseconds, for machines under load
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\u202etxt\x00"


@pytest.fixture(scope="module")  # while it is open, this thread has a running event loop
def browser(pytestconfig: pytest.Config, trained_folder: Path) -> Iterator[Browser]:
    if pytestconfig.option.check:
        pytest.skip("tests in a browser are slow")
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"there is no browser: none of {', '.join(NAMES)} is installed")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


@contextmanager
def serving(store: Store) -> Generator[str]:
    """Serve the page of a store within the block, and yield its address."""
    page = prepare(store, 0)
    thread = threading.Thread(target=lambda: page.serve(open_browser=False), name="page")
    thread.start()
    try:
        yield page.url
    finally:
        page.server.should_exit = True
        thread.join()


@contextmanager
def window(browser: Browser, width: int = 1280, scheme: Any = "light") -> Generator[tuple[Page, list[str]]]:
    """Open a window, and collect what its console says that it should not."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    context.set_default_timeout(WAIT)
    page, said = context.new_page(), list[str]()
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    try:
        yield page, said
    finally:
        context.close()


def visit(page: Page, view: str, parameters: str = "") -> None:
    page.evaluate("to => { location.hash = to }", f"#/scripted/{view}{parameters}")
    expect(page.locator("main[aria-busy=false] h1").first).to_have_text(VIEWS[view], timeout=WAIT)


def barriers(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] in ("serious", "critical")]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
def test_every_view_fits_and_is_accessible(browser: Browser, store: Store, width: int, scheme: str) -> None:
    problems: dict[str, Any] = {}
    searching = searched(**RUNGS)
    add_search(store, searching)
    run(searching, store, Table(fails=frozenset({"one"}), misleading=frozenset({0.1})))
    with serving(store) as url, window(browser, width, scheme) as (page, said):
        page.goto(url)
        expect(page).not_to_have_url(url, timeout=WAIT)  # the token is no longer in it
        for view in VIEWS:
            visit(page, view)
            wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            if found := [*barriers(page), *(["wider than the window"] if wider > 0 else [])]:
                problems[view] = found
        assert not problems and not said


def test_rows_are_found_and_opened_with_the_keyboard(browser: Browser, store: Store) -> None:
    with serving(store) as url, window(browser) as (page, said):
        page.goto(url)
        expect(page.locator("main[aria-busy=false] h1")).to_be_visible(timeout=WAIT)
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_text("Skip to content", timeout=WAIT)
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()
        visit(page, "rows", "?kind=score")
        page.get_by_label("Search", exact=True).focus()
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")  # the filter's column, chosen by its first letters
        page.keyboard.type("ifd")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.type("0")
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Remove the filter ifd")).to_be_visible(timeout=WAIT)
        page.locator("table.cells a").first.focus()
        page.keyboard.press("Enter")
        expect(page.locator("dialog .chain > li")).to_have_count(3, timeout=WAIT)
        assert not barriers(page)
        page.keyboard.press("Escape")
        expect(page.locator("dialog")).to_have_count(0)
        assert not said


def test_hostile_texts_are_shown_and_not_run(browser: Browser, store: Store, grid: Grid) -> None:
    step = next(step for step in grid.steps.values() if step.kind == "respond")
    row = ResponseRow("a" * 32, "", "s", 0, HOSTILE, "", HOSTILE, "stop", 1, 1)
    write_shard(store, step.kind, step.key, 0, [row], [])
    with serving(store) as url, window(browser) as (page, said):
        page.goto(url)
        visit(page, "rows", f"?kind=respond&step={step.key}")
        cell = page.locator("table.cells .text").first
        expect(cell).to_contain_text("<script>document.title='owned'</script>", timeout=WAIT)
        expect(cell.locator(".ctrl")).to_have_text(["U+202E", "U+0000"])
        visit(page, "rows", f"?kind=respond&step={step.key}&row={'a' * 32}&of={step.key}")
        expect(page.locator("dialog .passage").first).to_contain_text("<script>", timeout=WAIT)
        assert page.title() != "owned" and page.locator("main img, main script, dialog img").count() == 0
        assert not said


def test_the_page_follows_a_run(browser: Browser, store: Store, grid: Grid, recorder: LiveRecorder) -> None:
    last = [step for step in grid.steps.values() if step.kind == "evaluate"][-1]
    with serving(store) as url, window(browser) as (page, said):
        page.goto(url)
        visit(page, "overview")
        expect(page.locator("#study .pill")).to_have_text("unfinished", timeout=WAIT)
        with acquire(store, "scripted", [last.key], print):
            progress(recorder, last)
            unlog(store, last)
            expect(page.locator("#study .pill")).to_have_text("running", timeout=WAIT)
            expect(page.get_by_role("heading", name="In progress")).to_be_visible(timeout=WAIT)
            visit(page, "engines")
            expect(page.locator("tbody tr")).to_contain_text(["small"], timeout=WAIT)
        expect(page.locator("#study .pill")).to_have_text("unfinished", timeout=WAIT)
        assert not said


def test_the_page_follows_a_search(browser: Browser, store: Store) -> None:
    searching, lab = searched(), Table(killed_at=4)
    with serving(store) as url, window(browser) as (page, said):
        page.goto(url)
        visit(page, "overview")
        link = page.get_by_role("link", name="Search", exact=True)
        expect(link).to_have_count(0)
        add_search(store, searching)
        expect(link).to_be_visible(timeout=WAIT)
        visit(page, "search")
        expect(page.get_by_text("Nothing is decided yet")).to_be_visible(timeout=WAIT)
        with pytest.raises(Killed):
            run(searching, store, lab)
        expect(page.locator(".cell.asked").first).to_contain_text("asked for", timeout=WAIT)
        page.get_by_role("region", name="Decisions").focus()
        run(searching, store, Table(lab.trained))
        expect(page.locator(".lead .pill")).to_have_text("has stopped", timeout=WAIT)
        expect(page.get_by_role("region", name="Best arms").locator("tbody tr").first).to_contain_text("five")
        expect(page.locator(".cell.best")).to_have_count(2)
        expect(page.locator(".cell.skipped").first).to_contain_text("chance")
        expect(page.get_by_role("region", name="Decisions")).to_be_focused()
        assert not barriers(page) and not said


def test_a_cell_of_the_grid_opens(browser: Browser, store: Store) -> None:
    with serving(store) as url, window(browser, 400) as (page, said):
        page.goto(url)
        visit(page, "results")
        page.locator(".heat button").first.click()
        expect(page.get_by_role("heading", name="Answers", exact=True)).to_be_visible(timeout=WAIT)
        assert page.locator(".heat button[aria-pressed=true]").count() == 1
        assert not barriers(page) and not said


def test_results_that_take_long_to_read_follow_one_after_the_other(
    browser: Browser, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "MAX_SECONDS", 0.0)
    (Path(store.root) / "studies" / "scripted" / "report" / "results.csv").unlink()
    with serving(store) as url, window(browser) as (page, said):
        page.goto(f"{url}#/scripted/results")
        expect(page.locator(".heat button").nth(10)).to_be_visible(timeout=WAIT)  # a request reads one evaluation
        expect(page.get_by_text("more evaluations")).to_have_count(0, timeout=WAIT)
        assert not said


def test_an_empty_store_says_what_to_do(browser: Browser, tmp_path: Path) -> None:
    with serving(Store(str(tmp_path))) as url, window(browser) as (page, said):
        page.goto(url)
        expect(page.get_by_text("This store has no study yet")).to_be_visible(timeout=WAIT)
        assert not barriers(page) and not said
