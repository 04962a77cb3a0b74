"""Describes a data set in Croissant 1.0, the JSON-LD format of MLCommons that search engines and loaders read.

The format: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.0.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.json as pj
import pyarrow.parquet as pq

from cluster.plural import plural
from pipelines.results.export.card import DataSources, config_name
from pipelines.results.export.files import Exported
from pipelines.results.export.terms import languages
from pipelines.study.spec.study import Study

Node = dict[str, Any]
_CONTEXT: Node = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_ENCODINGS = {".parquet": "application/x-parquet", ".jsonl": "application/jsonlines"}


def croissant(study: Study, files: Sequence[Exported], sources: DataSources, hub: str, endpoint: str) -> Node:
    """Return the description of the exported files as they will be in the data set `hub` at the hub's address."""
    home = f"{endpoint}/datasets/{hub}"
    licences = list(dict.fromkeys(origin.licence_link or each for origin in sources.all for each in origin.licences))
    stated = {
        "license": licences,
        "inLanguage": languages(sources.seeds),
        "isBasedOn": [origin.source for origin in sources.all if origin.source.startswith("https://")],
    }
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": hub.rpartition("/")[2],
        "description": study.description or f"Instructions and answers made by the study {study.study} of evolgrid.",
        "url": home,
        "creator": {"@type": "sc:Organization", "name": hub.partition("/")[0]},
        **{key: value for key, value in stated.items() if value},
        "distribution": [_file_object(file, f"{home}/resolve/main") for file in files],
        "recordSet": [_record_set(file) for file in files],
    }


def _file_object(file: Exported, home: str) -> Node:
    with file.path.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return {
        "@type": "cr:FileObject",
        "@id": file.path.name,
        "name": file.path.name,
        "description": plural(file.rows, "row"),
        "contentUrl": f"{home}/{file.path.name}",
        "contentSize": f"{file.path.stat().st_size} B",
        "encodingFormat": _ENCODINGS[file.path.suffix],
        "sha256": digest,
    }


def _record_set(file: Exported) -> Node:
    name = config_name(file)
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "field": [_field(f"{name}/{field.name}", field, file.path.name) for field in _schema(file.path)],
    }


def _schema(path: Path) -> Iterator[pa.Field]:
    yield from pq.read_schema(path) if path.suffix == ".parquet" else pj.read_json(path).schema


def _field(identifier: str, field: pa.Field, file: str) -> Node:
    """Return a column's description; one with lists of turns has the turns' parts as sub-fields."""
    source: Node = {"fileObject": {"@id": file}, "extract": {"column": field.name}}
    node: Node = {"@type": "cr:Field", "@id": identifier, "name": field.name}
    repeated, kind = pa.types.is_list(field.type), field.type
    if repeated:
        node["repeated"], kind = True, field.type.value_type
    if not pa.types.is_struct(kind):
        return node | {"dataType": _data_type(kind), "source": source}
    parts = [
        {
            "@type": "cr:Field",
            "@id": f"{identifier}/{part.name}",
            "name": part.name,
            "dataType": _data_type(part.type),
            "source": source | {"transform": {"jsonPath": part.name}},
        }
        for part in kind
    ]
    return node | {"subField": parts}


def _data_type(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(kind) else "sc:Text"
