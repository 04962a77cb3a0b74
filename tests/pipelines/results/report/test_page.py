"""The page as a reader (or an attacker) meets it."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipelines.results.report import write
from pipelines.results.report.page import render_html, render_markdown
from pipelines.results.report.plots import scores
from tests.pipelines.results.report import sample

VOID = {"meta", "link", "input", "br", "img"}


class Page(HTMLParser):
    """Collects what a browser would build: elements with attributes, text, and whether tags nest."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


# No results, no plots: what is drawn slowly is left out where a test is about something else
PLAIN = replace(sample.sample(), results=(), losses=(), sets=())


@pytest.fixture(scope="module")
def source() -> str:
    return render_html(sample.sample())


@pytest.fixture(scope="module")
def page(source: str) -> Page:
    return Page(source)


def test_the_page_loads_nothing_from_anywhere(source, page):
    loaded = [
        value
        for tag, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "srcset", "href", "xlink:href", "action", "poster", "data")
    ]
    assert loaded, "the page has links to its own sections"
    assert all(value.startswith("#") or value == "data:," for value in loaded)
    assert not re.search(r"@import|url\((?!#)|<link[^>]+stylesheet|<script[^>]+src", source)
    assert "://" not in source.replace("http://www.w3.org/", "")


def test_tags_nest_and_ids_are_unique(page):
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_references_inside_drawings_have_a_target(source):
    ids = set(re.findall(r' id="([^"]+)"', source))
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', source))
    assert used <= ids


def test_drawings_take_every_colour_from_the_page_so_that_dark_mode_works(source):
    drawings = re.findall(r"<svg.*?</svg>", source, re.DOTALL)
    assert len(drawings) == 14
    assert not [drawing for drawing in drawings if re.search(r"#[0-9a-f]{6}\b", drawing)]
    names = set(re.findall(r"var\(--([\w-]+)\)", "".join(drawings)))
    assert all(source.count(f"--{name}:") >= 2 for name in names)


def test_every_cell_is_shown_exactly_once(source):
    data = sample.sample()
    table = source.split('id="all-results"')[1].split("</table>")[0]
    assert table.count("<tr") == len(data.results) + 1
    values = re.findall(r'data-value="([^"]*)"><strong>', table)
    assert sorted(map(float, values)) == sorted(result.value for result in data.results)


def test_the_gain_is_over_the_base_of_the_same_student(source):
    data = sample.sample()
    base = next(r for r in data.results if r.round == -1 and r.student == "small-base")
    top = max(data.results, key=lambda result: result.value)
    assert top.student == "small-base"
    table = source.split('id="all-results"')[1].split("</table>")[0]
    assert f"+{top.value - base.value:.1f}" in table


def test_hostile_text_stays_text(source, page):
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert "img" not in {tag for tag, _ in page.elements}
    assert "alert(1)" not in re.findall(r"<script>.*?</script>", source, re.DOTALL)[0]
    assert sample.HOSTILE in "".join(page.text)
    assert "49" not in re.findall(r"<p class=\"text\".*?</p>", source, re.DOTALL)[0]


def test_hostile_names_stay_text_everywhere():
    data = sample.sample()
    results = tuple(
        replace(r, student=sample.HOSTILE, evolver=r.evolver and f"{r.evolver} $x_1$ <b>") for r in data.results
    )
    steps = (replace(data.steps[0], label=sample.HOSTILE, reasons=((sample.HOSTILE, 3),)),)
    page = Page(
        render_html(replace(data, study=sample.HOSTILE, description=sample.HOSTILE, results=results, steps=steps))
    )
    assert page.open == []
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert not {"img", "b"} & {tag for tag, attributes in page.elements if "style" not in attributes}


def test_added_words_are_marked_and_the_text_is_whole(source):
    assert "<ins>Put a dash between the items.</ins>" in source
    blocks = re.findall(r'<p class="text" dir="auto">(.*?)</p>', source, re.DOTALL)
    plain = [re.sub(r"<del>.*?</del>|</?ins>", "", block) for block in blocks]
    assert all(text in plain for _, text in sample.EVOLVED)


def test_long_texts_are_folded_and_very_long_ones_cut():
    example = sample.sample().examples[0]
    turn = replace(example.turns[0], instruction="word " * 100_000)
    source = render_html(replace(PLAIN, examples=(replace(example, turns=(turn,)),)))
    assert '<details class="fold">' in source
    assert "480,000 more characters" in source
    assert len(source) < 200_000


def test_steps_show_cached_work_reasons_and_rows_that_do_not_add_up():
    step = sample.sample().steps[0]
    assert step.cached
    source = render_html(replace(PLAIN, steps=(step, replace(step, rows_out=0, cached=False))))
    table = source.split('id="all-steps"')[1].split("</table>")[0]
    assert table.count("cached") == 1
    assert table.count("does not add up") == 1
    assert "engine: timed out" in table


def test_what_seeds_had_that_is_not_used_is_shown():
    step = replace(sample.sample().steps[0], notes=(("a system text, which is not used", 6),))
    data = replace(PLAIN, steps=(step,))
    assert "6 rows had a system text, which is not used" in render_html(data)
    assert f"{step.label}: 6 rows had a system text, which is not used." in render_markdown(data)


def test_a_study_without_anything_yet_says_so():
    source = render_html(sample.empty())
    for words in (
        "No student was evaluated",
        "Nothing has been answered",
        "No instruction has been evolved",
        "No step has run",
    ):
        assert words in source
        assert words in render_markdown(sample.empty())
    assert "<svg" not in source
    assert "None" not in source


def test_foreign_data_without_scores_or_students_has_a_page():
    source = render_html(sample.foreign())
    assert "These sets were not scored" in source
    assert "No student was trained" in source
    assert "None" not in "".join(Page(source).text).split("(() =>")[0]


def test_odd_numbers_do_not_break_the_page():
    data = replace(sample.sample(), results=())
    curve = replace(data.losses[0], losses=tuple(float("nan") for _ in data.losses[0].steps))
    odd = replace(data.sets[0], means={"ppl_instruction": float("inf"), "ifd": float("nan")})
    source = render_html(replace(data, sets=(odd,), losses=(curve,)))
    assert "∞" in source
    assert "NaN" in source


def test_thousands_of_cells_stay_usable(monkeypatch):
    monkeypatch.setattr(scores, "MAX_PANELS", 2)
    source = render_html(sample.large())
    table = source.split('id="all-results"')[1].split("</table>")[0]
    assert table.count("<tr") == 2001
    assert "The first 2 of 100 panels" in source
    assert len(source) < 4_000_000


def test_write_makes_every_file_and_returns_the_page(tmp_path: Path):
    index = write(PLAIN, tmp_path / "new" / "report")
    assert index == tmp_path / "new" / "report" / "index.html"
    names = {path.name for path in index.parent.iterdir()}
    facts = (
        "results",
        "sets",
        "rounds",
        "replies",
        "methods",
        "rewards",
        "car",
        "answers",
        "steps",
        "losses",
        "trainings",
        "claims",
    )
    more = ("diversity", "contamination", "selections", "judgements", "scores", "probabilities", "confidence")
    numbers = {f"{name}.csv" for name in (*facts, *more)}
    assert names == {"index.html", "report.md"} | numbers
    page = index.read_text()
    assert all(f"<code>{name}</code>" in page for name in numbers), "the page names every file of numbers"


def test_the_same_data_gives_the_same_page():
    assert "<svg" in render_html(PLAIN)
    assert render_html(PLAIN) == render_html(PLAIN)


def test_markdown_tables_keep_their_columns_whatever_the_names():
    data = replace(sample.sample(), steps=(replace(sample.sample().steps[0], label="a | b\nc `d` <i>"),))
    lines = render_markdown(data).splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) in (5, 6, 8, 9, 11, 13, 22) for row in rows)
    assert any(r"a \| b c" in row for row in rows)
    fences = [line for line in lines if re.fullmatch(r"`{3,}(text)?", line)]
    assert "````text" in fences, "a text with a fence of its own is wrapped in a longer one"


def test_the_rates_of_every_round_and_the_reasons_by_model_are_shown():
    told = " ".join(Page(render_html(PLAIN)).text)
    told = re.sub(r"\s+", " ", told)
    assert "eliminated:no_gain 6.0 % 12" in told and "rejected:<b>odd</b>" in told
    text = render_markdown(PLAIN)
    assert "| world | tiny | 1 | 200 | evolved 94.0 % (188), eliminated:no\\_gain 6.0 % (12) |" in text
    assert "| tiny | evolver | 200 |" in text


def test_every_method_is_shown_with_its_rate_and_what_the_optimizer_said():
    told = re.sub(r"\s+", " ", " ".join(Page(render_html(PLAIN)).text))
    assert "rejected:no_method_block" in told and "I would not change it. <br>" in told and "stagnant 3" in told
    text = render_markdown(PLAIN)
    assert "| world | tiny | small | 1 | 1 | 6.0 | 50 | best |" in text
    assert "Better. <b>\nInstruction: {instruction}" in text
