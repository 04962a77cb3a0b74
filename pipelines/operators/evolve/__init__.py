"""Operators that evolve instructions, and the optimization of the methods that they evolve with."""
