"""Benchmarks: their items, how answers are graded or judged, and how scores are computed from the graded answers."""
