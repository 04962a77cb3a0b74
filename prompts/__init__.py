"""What is asked: one template file per prompt, its variables, and how its reply is parsed."""

from prompts.catalog import Prompt, get, names
from prompts.parse import PARSER_VERSION, Reply, parse

__all__ = ["PARSER_VERSION", "Prompt", "Reply", "get", "names", "parse"]
