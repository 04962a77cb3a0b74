"""Writes a study as the text of a study file, which says the same when it is read again."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import SafeRepresenter

from pipelines.study.file.python_values import plain_block, tree_of
from pipelines.study.file.yaml_tree import is_plain_text
from pipelines.study.spec.study import Study

WIDTH = 120
FIRST_KEYS = ("evolgrid", "study", "description", "plugins", "seed", "seeds", "models")


def to_yaml(study: Study) -> str:
    """Return the text of a study's file, without the keys that have their default values."""
    content = tree_of(plain_block(study)).value
    assert isinstance(content, dict)
    ordered = {key: content[key] for key in FIRST_KEYS if key in content}
    return yaml_text(ordered | content)


def yaml_text(content: Mapping[str, Any]) -> str:
    """Return plain values as YAML 1.2, with one line for blocks without blocks in them."""
    stream = io.StringIO()
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.Representer = _Representer
    yaml.default_flow_style, yaml.width, yaml.allow_unicode = None, WIDTH, True
    yaml.sort_base_mapping_type_on_output = False
    yaml.dump(dict(content), stream)
    return stream.getvalue()


class _Representer(SafeRepresenter):
    """Quotes what our reader would not take for text, and repeats values instead of using aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def text(self, data: str) -> ScalarNode:
        """Return the node of a text."""
        style = None if is_plain_text(data) else "|" if _is_block(data) else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Representer.add_representer(str, _Representer.text)


def _is_block(text: str) -> bool:
    """Return whether a text of several lines is readable as a literal block."""
    lines = text.split("\n")
    return (
        len(lines) > 1 and text.endswith("\n") and not text[0].isspace() and all(line.isprintable() for line in lines)
    )
