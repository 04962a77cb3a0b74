"""Renders the report's files as text: the HTML page, the same content as Markdown, and the numbers as CSV."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

from pipelines.results.report import plots
from pipelines.results.report.csv_files import csv_files
from pipelines.results.report.data.report import ReportData
from pipelines.results.report.plots.canvas import Figure
from pipelines.results.report.plots.layouts.charts import chart
from pipelines.results.report.tables import number_format as format
from pipelines.results.report.tables import step_accounts as accounts
from pipelines.results.report.tables.car_warnings import car_warnings
from pipelines.results.report.tables.effects import effects
from pipelines.results.report.tables.examples import seed_views
from pipelines.results.report.tables.heatmap import heatmap_tables
from pipelines.results.report.tables.layouts.claims import judged_claims
from pipelines.results.report.tables.layouts.pivot import layout_views
from pipelines.results.report.tables.outcomes import reply_rows, round_rows
from pipelines.results.report.tables.published import comparisons
from pipelines.results.report.tables.results import result_table
from pipelines.results.report.tables.set_means import average_sets, has_answer_seeds
from pipelines.results.report.tables.summary import best_gain, gain_rows, key_figures
from pipelines.study.spec.presentation.miniature import miniature_note


def report_files(data: ReportData) -> dict[str, str]:
    """Return the content of every file of a report by file name."""
    facts = _facts(data)
    tables = csv_files(data, [claim.flat() for claim in facts["claims"]])
    return {"index.html": _html(data, facts, [*tables]), "report.md": _markdown(facts), **tables}


def render_html(data: ReportData, tables: Sequence[str] = ()) -> str:
    """Return the HTML page, which needs no other file. `tables` are the names of CSV files to list."""
    return _html(data, _facts(data), tables)


def render_markdown(data: ReportData) -> str:
    """Return the same content as Markdown without plots, for a terminal or a code host."""
    return _markdown(_facts(data))


def _html(data: ReportData, facts: Mapping[str, Any], tables: Sequence[str]) -> str:
    environment = _environment(autoescape=True)
    averaged = average_sets(data)
    figures: dict[str, Any] = {
        "layouts": [_existing(chart(view)) for view in facts["layouts"]],
        "scores": _existing(plots.by_round(data)),
        "models": _existing(plots.by_model(data, "evolver"), plots.by_model(data, "teacher"), plots.by_level(data)),
        "sets": _existing(plots.ifd(averaged)),
        "diversity": _existing(plots.distances(data)),
        "judged": _existing(plots.difficulty(data)),
        "probabilities": _existing(plots.probabilities(averaged)),
        "confidence": _existing(plots.confidence(data)),
        "losses": _existing(plots.loss_curves(data), plots.speeds(data)),
        "times": _existing(plots.times(data)),
    }
    return environment.get_template("page.html.jinja").render(facts, figures=figures, tables=tables)


def _markdown(facts: Mapping[str, Any]) -> str:
    environment = _environment(autoescape=False)
    environment.filters["cell"] = _table_cell
    environment.filters["fence"] = _fence
    text = environment.get_template("report.md.jinja").render(facts)
    return re.sub(r"\n{3,}", "\n\n", text)


def _facts(data: ReportData) -> dict[str, Any]:
    averaged = average_sets(data)
    return {
        "data": averaged,
        "note": miniature_note(data.description),
        "layouts": layout_views(averaged),
        "claims": judged_claims(averaged),
        "answer_seeds": has_answer_seeds(data),
        "abouts": [*dict.fromkeys(metric.about for metric in data.metrics if metric.about)],
        "figures_of_merit": key_figures(data),
        "rows": gain_rows(data.results),
        "best": best_gain(data.results),
        "heat": heatmap_tables(data.results, data.model_sizes),
        "rounds": round_rows(data.rounds),
        "replies": reply_rows(data.replies),
        "car_warnings": car_warnings(data.cars),
        "effects": effects(data),
        "table": result_table(data),
        "comparisons": comparisons(data),
        "seeds": seed_views(data.examples),
        "steps": accounts.sort_steps(data.steps),
        "totals": accounts.kind_totals(data.steps),
        "balanced": accounts.is_balanced,
    }


def _environment(autoescape: bool) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipelines.results.report"),
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        number=format.number,
        significant=format.significant_digits,
        signed=format.signed,
        signed_digits=format.signed_digits,
        table_number=format.table_number,
        signed_table_number=format.signed_table_number,
        p_value=format.p_value,
        duration=format.duration,
        moment=format.timestamp,
        parameters=format.parameters,
    )
    return environment


def _existing(*figures: Figure | None) -> list[Figure]:
    return [figure for figure in figures if figure]


def _table_cell(value: object) -> str:
    text = " ".join(str(value).split())
    return re.sub(r"([\\`*_{}\[\]<>#|~$])", r"\\\1", text)


def _fence(text: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"
