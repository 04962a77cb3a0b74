"""The report's figures: each is a list of small SVG panels in the page's colours."""

from pipelines.results.report.plots.canvas import Figure, Legend, Panel
from pipelines.results.report.plots.confidence import confidence, probabilities
from pipelines.results.report.plots.distances import distances
from pipelines.results.report.plots.judged import difficulty
from pipelines.results.report.plots.levels import by_level
from pipelines.results.report.plots.losses_and_times import loss_curves, times
from pipelines.results.report.plots.models import by_model
from pipelines.results.report.plots.scores import by_round
from pipelines.results.report.plots.sets import ifd
from pipelines.results.report.plots.speeds import speeds

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
