"""Asks models and separates the thoughts in their replies, for every reader of replies."""

from __future__ import annotations

from dataclasses import replace

import prompts
from actors.engine import Client, GenerateRequest, Generation
from prompts.thoughts import split_thoughts

UNFINISHED = "unfinished_thinking"


async def ask(client: Client, request: GenerateRequest) -> Generation:
    """Return a model's reply without thoughts in its text, also if the model's engine or server left them there.

    Raises:
        RequestError: The model cannot answer the request.
    """
    return separate_thoughts(await client.generate(request))


def separate_thoughts(said: Generation) -> Generation:
    """Return the reply with the thoughts of its text moved to `thoughts`. Thoughts without an end leave no text."""
    split = split_thoughts(said.text)
    if said.thoughts or split.reply == said.text:
        return said
    return replace(said, text=split.reply, thoughts=split.thoughts)


def read_reply(parser: str, said: Generation) -> prompts.Reply:
    """Return what a parser finds in a reply. A reply that has only thoughts is rejected as unfinished."""
    read = prompts.parse(parser, said.text)
    return prompts.Reply(None, f"rejected:{UNFINISHED}") if only_thoughts(said) else read


def only_thoughts(said: Generation) -> bool:
    """Return whether a model has thought and not replied."""
    return bool(said.thoughts) and not said.text.strip()


def raw_reply(said: Generation) -> str:
    """Return what to store as the reply of a rejected row: its text, or the thoughts if it has nothing else."""
    return said.thoughts if only_thoughts(said) else said.text
