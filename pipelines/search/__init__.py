"""Adaptive search over a grid: which cells to train next, and at which risk to stop.

Arithmetic only: nothing here reads the study file or the store. `space` has the types, `decide` the decisions, and
`finals` what follows them.
"""
