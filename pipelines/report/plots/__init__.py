"""The report's figures: each a list of small SVG panels that take their colours from the page."""

from pipelines.report.plots.canvas import Figure, Legend, Panel
from pipelines.report.plots.confidence import confidence, probabilities
from pipelines.report.plots.distances import distances
from pipelines.report.plots.judged import difficulty
from pipelines.report.plots.levels import by_level
from pipelines.report.plots.models import by_model
from pipelines.report.plots.runs import loss_curves, times
from pipelines.report.plots.scores import by_round
from pipelines.report.plots.sets import ifd
from pipelines.report.plots.speeds import speeds

__all__ = [
    "Figure",
    "Legend",
    "Panel",
    "by_level",
    "by_model",
    "by_round",
    "confidence",
    "difficulty",
    "distances",
    "ifd",
    "loss_curves",
    "probabilities",
    "speeds",
    "times",
]
