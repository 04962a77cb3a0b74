"""Prints a preview: for each seed, a column for each evolver and a line for each round."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cluster.plural import plural
from pipelines.api.views.preview.content import AnswerView, Facts, Problem, RoundView, SeedView, facts_of, seed_views
from pipelines.execution.previewing.model import Preview

MIN_COLUMN_WIDTH = 34
MAX_TEXT = 600
MAX_WHY = 120
MAX_LABELS = 6
ON_PAGE_ONLY = {"PPL instr.", "PPL cond.", "IFD PPL"}


def show_preview(console: Console, preview: Preview) -> None:
    """Print the rows of a preview, what was rejected, and what the whole run needs."""
    views = seed_views(preview)
    for number, view in enumerate(views, 1):
        _show_seed(console, view, f"{number}/{len(views)}")
    show_facts(console, preview)


def show_facts(console: Console, preview: Preview) -> None:
    """Print what was rejected and why, the shares of cut-off answers and refusals, and the needs of the whole run."""
    facts = facts_of(preview)
    console.rule(style="dim")
    for count, problem in facts.problems:
        line = Text.assemble((f"{count} {problem.status}", "yellow"), f" in {problem.step}: ", _reason(problem))
        console.print(line, soft_wrap=True)
    console.print(_shares(facts), highlight=False)
    if preview.not_shown:
        more = f" and {len(preview.not_shown) - MAX_LABELS} more" if len(preview.not_shown) > MAX_LABELS else ""
        labels = ", ".join(preview.not_shown[:MAX_LABELS])
        console.print(f"Not in a preview, as they need a whole set: {labels}{more}", soft_wrap=True, highlight=False)
    console.print(_needs(preview))
    console.print(_summary(preview), soft_wrap=True, highlight=False)


def _show_seed(console: Console, view: SeedView, number: str) -> None:
    title = f"[bold]{number}[/bold]  {view.seeds}, seed {view.index} [dim]{view.id[:8]}[/dim]"
    console.rule(title, align="left", style="dim")
    console.print(_instruction(view.start))
    for answer in view.start.answers:
        console.print(_answer(answer))
    if not view.evolvers:
        return
    if console.width // len(view.evolvers) >= MIN_COLUMN_WIDTH:
        groups = [[*view.evolvers]]
    else:
        groups = [[name] for name in view.evolvers]
    for names in groups:
        table = Table("", *map(escape, names), show_lines=True, expand=True)
        for number_of_round in view.rounds:
            cells = [_cell([each for each in view.evolvers[name] if each.round == number_of_round]) for name in names]
            table.add_row(f"r{number_of_round}", *cells)
        console.print(table)


def _cell(rounds: list[RoundView]) -> Text:
    parts = [part for each in rounds for part in (_instruction(each), *map(_answer, each.answers))]
    return Text("\n").join(parts) if parts else Text("-", "dim")


def _instruction(view: RoundView) -> Text:
    text = Text()
    for piece in view.pieces:
        if piece.change != "removed":
            text.append(piece.text, "bold green" if piece.change == "added" else "bold")
    text = _shortened(text)
    if view.input:
        text.append(f"\ninput: {view.input[:MAX_TEXT]}", "dim")
    if view.facts:
        text.append("\n" + " · ".join(f"{name} {value}" for name, value in view.facts), "dim")
    for problem in view.problems:
        text.append("\n" if text else "").append(problem.status, "yellow").append(" ").append_text(_reason(problem))
    if view.tokens:
        text.append(f"\n{_used(view.tokens, view.dollars)}", "dim")
    return text


def _answer(view: AnswerView) -> Text:
    text = Text.assemble((f"{view.teacher}: ", "cyan"), _shortened(Text(view.text)))
    for flag in view.flags:
        text.append(f" [{flag}]", "yellow")
    for problem in view.problems:
        text.append(f" {problem.status} ", "yellow").append_text(_reason(problem))
    shown = [f"{name} {value}" for name, value in view.facts if name not in ON_PAGE_ONLY]
    facts = [*shown, _used(view.tokens, view.dollars)]
    return text.append(f"\n  {' · '.join(facts)}", "dim")


def _shortened(text: Text) -> Text:
    if len(text) > MAX_TEXT:
        text.truncate(MAX_TEXT)
        text.append(" ...")
    return text


def _reason(problem: Problem) -> Text:
    why = problem.detail[:MAX_WHY]
    if not why and problem.text:
        why = f"the model wrote: {' '.join(problem.text.split())[:MAX_WHY]}"
    return Text(problem.reason).append(f" ({why})" if why else "", "dim")


def _used(tokens: int, dollars: float | None) -> str:
    return plural(tokens, "token") + (f", ${dollars:.5f}" if dollars is not None else "")


def _shares(facts: Facts) -> str:
    shares = plural(facts.answers, "answer")
    if facts.answers:
        shares += (
            f", {facts.cut_off / facts.answers:.0%} cut off, {facts.refusals / facts.answers:.0%} refusals, "
            f"{facts.mean_tokens:,.0f} tokens on average"
        )
    lost = plural(sum(count for count, _ in facts.problems), "row")
    return f"{plural(facts.instructions, 'evolved instruction')}; {shares}; {lost} lost"


def _needs(preview: Preview) -> Table:
    title = f"The whole run ({preview.total_seeds:,} seeds), from these rows"
    table = Table("model", title=title, title_justify="left", title_style="bold")
    for name in ("requests", "tokens read", "tokens written", "cost"):
        table.add_column(name, justify="right")
    for each in preview.whole:
        cost = "-" if each.dollars is None else f"${each.dollars:,.2f}"
        table.add_row(each.model, f"{each.requests:,}", f"{each.tokens_in:,}", f"{each.tokens_out:,}", cost)
    return table


def _summary(preview: Preview) -> str:
    time = (
        "" if preview.planned_seconds is None else f" The whole run takes about {_duration(preview.planned_seconds)}."
    )
    asked = f"{preview.asked:,} requests" + (f", {preview.reused:,} answered before" if preview.reused else "")
    return f"{asked} in {preview.seconds:.0f} s. The run does not ask for these rows again.{time}"


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
