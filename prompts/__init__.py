"""Prompt templates, one file per prompt, and the parsers of the models' replies."""

from prompts.catalog import STANDARD_CATALOG, Catalog, Prompt, get, names
from prompts.methods import fill
from prompts.parse import CATEGORIES, DIFFICULTY_LABELS, EQUAL, NOT_EQUAL, PARSER_VERSION, Reply, parse
from prompts.shots import Shots, shots
from prompts.trajectory import method_lines

__all__ = [
    "CATEGORIES",
    "DIFFICULTY_LABELS",
    "EQUAL",
    "NOT_EQUAL",
    "PARSER_VERSION",
    "STANDARD_CATALOG",
    "Catalog",
    "Prompt",
    "Reply",
    "Shots",
    "fill",
    "get",
    "method_lines",
    "names",
    "parse",
    "shots",
]
