"""Draws with matplotlib (without its global state) and returns inline SVG in the page's colours and fonts."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

# Placeholder colours that no plot uses by chance. They are replaced by the page's CSS variables (light and dark)
INK, MUTED, GRID = "#fe00a0", "#fe00a1", "#fe00a2"
SERIES = tuple(f"#fe000{number}" for number in range(6))
MARKERS = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "P": "✚", "X": "✖"}
_STAND_INS = {INK: "ink", MUTED: "muted", GRID: "grid"} | {color: f"s{i}" for i, color in enumerate(SERIES)}
_SETTINGS: dict[str, object] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "text.parse_math": False,
    "font.size": 8.5,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "text.color": INK,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "hatch.linewidth": 0.8,
}


@dataclass(frozen=True, slots=True)
class Legend:
    """A legend entry: `color` is a CSS variable's name, `mark` the shape of the points.

    `style` is 'line', 'dash', 'bar', 'ghost' (a pale bar), 'hollow' (an empty one) or 'dot' (the mark alone).
    """

    name: str
    color: str
    style: str = "line"
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One drawing under its `title` (plain text). `svg` is complete, safe markup; a `wide` panel takes a whole row."""

    title: str
    svg: str
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """Panels under one title. `note` explains how to read them and what was left out."""

    title: str
    note: str
    panels: tuple[Panel, ...]
    legend: tuple[Legend, ...] = ()

    @property
    def span(self) -> int:
        """The number of the page's four columns that the figure takes."""
        return 4 if len(self.panels) > 2 or any(panel.wide for panel in self.panels) else len(self.panels)


def color(names: Sequence[str], name: str) -> str:
    """Return the placeholder colour of one of `names`; the colours repeat after six."""
    return SERIES[list(names).index(name) % len(SERIES)]


def marker(names: Sequence[str], name: str) -> str:
    """Return the marker of one of `names`; with `color`, up to 42 names are distinguishable."""
    return list(MARKERS)[list(names).index(name) % len(MARKERS)]


def evolver_legend(names: Sequence[str], style: str = "line", marked: bool = True) -> tuple[Legend, ...]:
    """Return one entry per evolver, with its colour and the shape of its points."""
    return tuple(
        Legend(f"evolver {name}", variable(color(names, name)), style, MARKERS[marker(names, name)] if marked else "")
        for name in names
    )


def variable(stand_in: str) -> str:
    """Return the name of the CSS variable for a placeholder colour, without dashes."""
    return _STAND_INS[stand_in]


class Canvas:
    """A figure of `columns` aligned axes, `width` x `height` in points; a context manager that sets the style."""

    def __init__(self, width: float = 232, height: float = 178, columns: int = 1) -> None:
        self._context = matplotlib.rc_context(_SETTINGS)  # pyright: ignore[reportArgumentType]
        self._size = (width / 72, height / 72)
        self._columns = columns

    def __enter__(self) -> list[Axes]:
        self._context.__enter__()
        self._drawing = Drawing(figsize=self._size, layout="constrained")
        self._drawing.patch.set_visible(False)
        axes = [self._drawing.add_subplot(1, self._columns, index + 1) for index in range(self._columns)]
        for each in axes:
            each.patch.set_visible(False)
        return axes

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            text = io.StringIO()
            self._drawing.savefig(text, format="svg", metadata={"Date": None})
            self._text = text.getvalue()
        self._context.__exit__(None, None, None)

    def panel(self, description: str, title: str = "", wide: bool = False) -> Panel:
        """Return the finished drawing; screen readers read `description` and `title` instead of it."""
        return Panel(title, _inline(self._text, f"{description}: {title}" if title else description), wide)


def _inline(text: str, description: str) -> str:
    body = text[text.index("<svg") :]
    head, _, body = body.partition(">")
    view = re.search(r'viewBox="[^"]*"', head)
    body = re.sub(
        r"<metadata>.*?</metadata>|<!--.*?-->|<defs>\s*<style.*?</style>\s*</defs>", "", body, flags=re.DOTALL
    )
    body = _own_ids(body, sha256(f"{description}{text}".encode()).hexdigest()[:8])
    body = re.sub(r"#fe00[0-9a-f]{2}", lambda found: f"var(--{_STAND_INS[found[0]]})", body)
    body = re.sub(r"font(-family)?: (?:(?P<size>[\d.]+px) )?[^;\"]*sans-serif", _page_font, body)
    body = re.sub(r"\s*\n\s*", "\n", body).replace("<g/>\n", "")
    box = view[0] if view else ""
    return f'<svg {box} role="img" aria-label="{escape(description)}">{body}'


def _own_ids(body: str, prefix: str) -> str:
    used = set(re.findall(r'#([\w-]+)[")]', body))
    body = re.sub(r' id="([^"]+)"', lambda found: f' id="{prefix}-{found[1]}"' if found[1] in used else "", body)
    return re.sub(r'(xlink:href="|url\()#', rf"\g<1>#{prefix}-", body).replace("xlink:href", "href")


def _page_font(found: re.Match[str]) -> str:
    return f"font-size: {found['size']}" if found["size"] else "font-family: inherit"
