"""What is written about the configuration against what is true of it: manual, schema, shipped files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from aggregator import config, config_schema
from aggregator.config import NOT_YET_EFFECTIVE, RESERVED_SLUGS
from aggregator.config_models import AggregatorFile
from aggregator.config_source import SourcesFile
from aggregator.types import SECTIONS


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every key that holds a value, dotted, with its default as YAML writes it."""
    for name, field in model.model_fields.items():
        inner = config._model_in(field.annotation)
        if inner is None:
            yield prefix + name, field.default
        else:
            yield from keys_of(inner, f"{prefix}{name}.")


KEYS = {**dict(keys_of(AggregatorFile)), **dict(keys_of(SourcesFile))}


@pytest.fixture(scope="module")
def manual(root: Path) -> dict[str, str]:
    """The rows of the manual's tables: key to what its second column says."""
    text = (root / "docs" / "configuration.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z_.]+)` \| (.*?) \| .+ \|$", text, re.MULTILINE)
    assert len(rows) == len({key for key, _ in rows})
    return dict(rows)


def test_the_manual_has_every_key_and_no_other(manual: dict[str, str]) -> None:
    assert set(manual) == set(KEYS)


def as_yaml(default: object) -> str:
    if isinstance(default, tuple | dict):
        return "[]" if default == () else "{}"
    return default if isinstance(default, str) and default else json.dumps(default)


@pytest.mark.parametrize("key", [key for key in KEYS if KEYS[key] is not None and KEYS[key] is not PydanticUndefined])
def test_the_manual_has_the_default_of(manual: dict[str, str], key: str) -> None:
    assert manual[key] == f"`{as_yaml(KEYS[key])}`"


def test_the_manual_says_which_keys_must_be_given(manual: dict[str, str]) -> None:
    required = {key for key, default in KEYS.items() if default is PydanticUndefined}

    assert {key for key, default in manual.items() if default == "must be given"} == required


def test_the_manual_names_the_reserved_slugs(root: Path) -> None:
    text = (root / "docs" / "configuration.md").read_text(encoding="utf-8")

    assert all(f"`{slug}`" in text for slug in RESERVED_SLUGS)


def test_the_manual_and_the_shipped_file_say_what_has_no_effect(root: Path) -> None:
    manual = (root / "docs" / "configuration.md").read_text(encoding="utf-8")
    shipped = (root / "config" / "aggregator.yaml").read_text(encoding="utf-8")
    chapters = {heading: chapter for chapter in manual.split("\n### ") for heading in re.split(", |\n", chapter)[:3]}

    for key in NOT_YET_EFFECTIVE:
        rows = [line for line in manual.splitlines() if line.startswith(f"| `{key}`")]
        said = rows[0] if "." in key else chapters[key]
        assert "No effect in this version" in said, key
    assert shipped.count("No effect in this version") == len(NOT_YET_EFFECTIVE)


@pytest.mark.parametrize("name", config_schema.FILES)
def test_the_schema_for_editors_is_current(root: Path, name: str) -> None:
    current = config_schema.schema(config_schema.FILES[name])

    assert (root / "config" / "schema" / name).read_text(encoding="utf-8") == current, (
        "run: .venv/bin/python -m aggregator.config_schema"
    )


def test_the_schema_describes_every_key() -> None:
    for model in config_schema.FILES.values():
        schema = json.loads(config_schema.schema(model))
        for definition in [schema, *schema["$defs"].values()]:
            assert definition.get("additionalProperties") is False
            assert all(key.get("description") for key in definition["properties"].values())


def test_the_shipped_configuration_is_the_default_with_every_key(root: Path) -> None:
    text = (root / "config" / "aggregator.yaml").read_text(encoding="utf-8")
    shipped = config.load(root / "config" / "aggregator.yaml", {})
    default = config.Config.model_validate({"database": f"sqlite:///{root}/var/aggregator.db"})

    assert config.changed_keys(default, shipped) == ("sources",)
    for key in (key for key in KEYS if not key.startswith(("sources.", "rules."))):
        assert re.search(
            rf"^[ -]*{key.rpartition('.')[2]}: .*#|^ *(- )?{key.rpartition('.')[2]}:", text, re.MULTILINE
        ), key


def test_the_shipped_sources_are_a_balanced_list(root: Path) -> None:
    sources = config.load(root / "config" / "aggregator.yaml", {}).sources

    assert 100 <= len(sources) <= 150
    for section in SECTIONS:
        assert 25 <= sum(source.section == section for source in sources) <= 40
    assert all(source.title and source.section and source.enabled for source in sources)
    assert len({source.title for source in sources}) == len(sources)
    assert len({source.weight for source in sources}) > 5
