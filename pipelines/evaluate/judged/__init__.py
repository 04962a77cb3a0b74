"""Benchmarks whose answers are graded by a judge model."""
