"""The JSON Schemas that editors check the configuration files by, made from the models.

`python -m aggregator.config_schema` writes them to config/schema/; a test says when they are out of date.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from aggregator.config_models import AggregatorFile
from aggregator.config_source import SourcesFile

FILES: dict[str, type[BaseModel]] = {"aggregator.json": AggregatorFile, "sources.json": SourcesFile}


def schema(model: type[BaseModel]) -> str:
    """The JSON Schema (2020-12) of one file, as text that changes only when the models do."""
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}
    return json.dumps(_tidy(document), indent=2, ensure_ascii=False) + "\n"


def _tidy(node: Any) -> Any:
    """Without the titles pydantic makes of the keys' names: editors would show each key twice."""
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: {name: _tidy(inner) for name, inner in value.items()} if key in ("properties", "$defs") else _tidy(value)
        for key, value in node.items()
        if key != "title"
    }


def write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, model in FILES.items():
        (folder / name).write_text(schema(model), encoding="utf-8")


if __name__ == "__main__":
    write(Path(__file__).parent.parent / "config" / "schema")
