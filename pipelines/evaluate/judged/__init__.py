"""Benchmarks whose answers a judge model reads."""
