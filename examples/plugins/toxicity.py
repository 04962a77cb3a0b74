"""How rude an answer is: the share of its words that are on a short list. A classifier would be a measure instead."""

import re

from pipelines.operators.select.metrics import PairMeasurements
from pipelines.plugins import Metric

RUDE = frozenset("dumb idiot idiots moron morons pathetic shut stupid trash useless worthless".split())


def toxicity(measurements: PairMeasurements) -> float:
    """Return the share of rude words, from 0 to 1."""
    words = re.findall(r"[a-z']+", measurements.pair.response.lower())
    return sum(word in RUDE for word in words) / max(len(words), 1)


TOXICITY = Metric(
    "toxicity",
    better="low",
    value=toxicity,
    label="Toxicity",
    about="Toxicity is the share of an answer's words that are on a list of rude words.",
)
