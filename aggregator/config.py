"""The configuration files in, one checked `Config` out, or a `ConfigError` that names every fault with file and line.

`config_yaml` reads the files, `config_values` the scalars, `config_models` has the keys; this module puts them
together and says what is wrong in words. Nothing here changes anything: `config_edit` edits sources.yaml.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from aggregator import config_yaml, urls
from aggregator.config_models import (
    RESERVED_SLUGS,
    AggregatorFile,
    Config,
    MergedFeed,
    Rule,
)
from aggregator.config_source import KeyFault, Source, SourcesFile, source_key
from aggregator.config_values import Context, Listen
from aggregator.config_yaml import Document, KeyPath, shorten
from aggregator.errors import ConfigError, Problem

__all__ = [
    "NOT_YET_EFFECTIVE",
    "RESERVED_SLUGS",
    "Config",
    "Listen",
    "MergedFeed",
    "Rule",
    "Source",
    "changed_keys",
    "check_sources",
    "find",
    "load",
    "needs_restart",
    "packaged_file",
    "remarks",
    "source_key",
    "state_directory",
]

M = TypeVar("M", bound=BaseModel)

# Accepted and checked, without effect so far; `bmn check` says so to whoever sets one.
NOT_YET_EFFECTIVE: frozenset[str] = frozenset()


def find(option: str | os.PathLike[str] | None, env: Mapping[str, str], cwd: Path) -> Path | None:
    """The configuration file to read: the option, else $BMN_CONFIG, else config/aggregator.yaml below `cwd`.

    None: there is none, the packaged defaults hold. Whether a file that was named exists is for `load` to say.
    """
    if option is not None:
        return Path(option)
    if named := env.get("BMN_CONFIG"):
        return Path(named)
    usual = Path("config", "aggregator.yaml")
    if (cwd / usual).exists():
        return usual if cwd == Path.cwd() else cwd / usual
    return None


def packaged_file() -> Path:
    """The aggregator.yaml that came with the package, or of the checkout it runs from."""
    package = Path(__file__).parent
    installed = package / "_config" / "aggregator.yaml"
    return installed if installed.exists() else package.parent / "config" / "aggregator.yaml"


def state_directory(env: Mapping[str, str]) -> Path:
    """Where state goes when no file says: $STATE_DIRECTORY (systemd sets it), else `bmn` in $XDG_STATE_HOME."""
    if given := env.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(given)
    if (given := env.get("XDG_STATE_HOME", "")).startswith("/"):  # the XDG specification ignores relative ones
        return Path(given, "bmn")
    return Path(env.get("HOME") or Path.home(), ".local", "state", "bmn")


def load(path: Path | None, env: Mapping[str, str]) -> Config:
    """The configuration that `path` (None: the packaged defaults) and the sources file it names hold.

    Secrets come from `env` and from files. Raises ConfigError with all problems of both files. Messages call the files
    as `path` was given.
    """
    given = path if path is not None else packaged_file()
    document = config_yaml.read(given)
    problems = list(document.problems)
    context = Context(Path(os.path.abspath(given)).parent, env)
    settings = _validated(AggregatorFile, document, context, problems)
    problems += _slug_repeats(document)
    if settings is not None:
        problems += _cross_faults(settings, document)
    problems.sort(key=lambda problem: problem.line)

    named = document.value.get("sources", "sources.yaml") if isinstance(document.value, dict) else None
    listing: SourcesFile | None = None
    sources_path = Path(given.parent, named) if isinstance(named, str) and named and "\0" not in named else None
    if sources_path is not None and not (document.value is None and problems):
        listing = _read_sources(sources_path, env, problems)
    if problems or settings is None or listing is None or sources_path is None:
        raise ConfigError(tuple(problems))

    values: dict[str, Any] = {name: getattr(settings, name) for name in AggregatorFile.model_fields}
    values["sources"] = listing.sources
    if path is None:
        values["database"] = f"sqlite:///{os.path.abspath(state_directory(env) / 'aggregator.db')}"
    files = tuple(Path(os.path.abspath(file)) for file in (given, sources_path))
    return Config.model_construct(**values, files=files, is_packaged=path is None)


def check_sources(data: bytes, path: Path) -> tuple[Source, ...]:
    """The sources that the text of a sources file holds, secrets left out; ConfigError if it has faults.

    This is for editing, where the daemon's secrets need not be known.
    """
    problems: list[Problem] = []
    context = Context(Path(os.path.abspath(path)).parent, reveal=False)
    listing = _checked_sources(config_yaml.parse(data, str(path)), context, problems)
    if problems or listing is None:
        raise ConfigError(tuple(problems))
    return listing.sources


def changed_keys(old: Config, new: Config) -> tuple[str, ...]:
    """What differs, as dotted keys down to `polling.every`, or `sources`, `feeds`, `rules` as a whole."""
    changed: list[str] = []
    for name in AggregatorFile.model_fields:
        before, after = getattr(old, name), getattr(new, name)
        if before == after:
            continue
        if isinstance(before, BaseModel):
            inner = type(before).model_fields
            changed += [f"{name}.{key}" for key in inner if getattr(before, key) != getattr(after, key)]
        else:
            changed.append(name)
    return tuple(changed)


# Open sockets, the store, the length of leases and what readers know us by stay as they are until the next start.
_FIXED = ("site.listen", "site.public_url", "admin.", "database", "polling.lease")


def needs_restart(key: str) -> bool:
    """Whether a change of this key (as `changed_keys` names it) waits for the next start."""
    return key.startswith(_FIXED)


def remarks(config: Config) -> tuple[str, ...]:
    """What is allowed and still worth a word to the operator, one line each."""
    said = [
        f"{key}: has no effect in this version"
        for key in changed_keys(Config(), config)
        if key in NOT_YET_EFFECTIVE or key.partition(".")[0] in NOT_YET_EFFECTIVE
    ]
    if not config.admin.listen.is_local and config.admin.token is None:
        said.append("admin.listen: other machines can reach it and no token is asked, set admin.token")
    if not config.sources:
        said.append("sources: there are none, add one with 'bmn sources add URL'")
    elif not any(source.enabled for source in config.sources):
        said.append("sources: all of them are disabled")
    return tuple(said)


# ---------------------------------------------------------------- reading


def _read_sources(path: Path, env: Mapping[str, str], problems: list[Problem]) -> SourcesFile | None:
    context = Context(Path(os.path.abspath(path)).parent, env)
    return _checked_sources(config_yaml.read(path), context, problems)


def _checked_sources(document: Document, context: Context, problems: list[Problem]) -> SourcesFile | None:
    found = list(document.problems)
    listing = _validated(SourcesFile, document, context, found)
    found += _source_repeats(document)
    problems += sorted(found, key=lambda problem: problem.line)
    return listing


def _validated(model: type[M], document: Document, context: Context, problems: list[Problem]) -> M | None:
    """The model of a document, None where there is none; faults go to `problems`."""
    if document.value is None:
        return None
    if not isinstance(document.value, dict):
        problems.append(document.problem((), "must be a mapping, that is lines of 'key: value'"))
        return None
    try:
        return model.model_validate(document.value, context=context)
    except ValidationError as error:
        problems += [_fault(model, document, detail) for detail in error.errors(include_url=False)]
    return None


def _source_repeats(document: Document) -> Iterator[Problem]:
    """Sources that stand in the file twice, also where one is spelt a little differently."""
    first: dict[str, int] = {}
    listed = document.value.get("sources") if isinstance(document.value, dict) else None
    for index, source in enumerate(listed if isinstance(listed, list) else ()):
        url = source.get("url") if isinstance(source, dict) else None
        if not isinstance(url, str) or urls.http_url(url) is None:
            continue
        earlier = first.setdefault(source_key(url), index)
        if earlier != index:
            line = document.line(("sources", earlier, "url"))
            message = f"the same source as in line {line}, remove one"
            yield document.problem(("sources", index, "url"), message)


def _slug_repeats(document: Document) -> Iterator[Problem]:
    first: dict[str, int] = {}
    feeds = document.value.get("feeds") if isinstance(document.value, dict) else None
    for index, feed in enumerate(feeds if isinstance(feeds, list) else ()):
        slug = feed.get("slug") if isinstance(feed, dict) else None
        if isinstance(slug, str) and first.setdefault(slug, index) != index:
            line = document.line(("feeds", first[slug], "slug"))
            yield document.problem(("feeds", index, "slug"), f"'{slug}' is taken in line {line}, choose another")


def _cross_faults(settings: AggregatorFile, document: Document) -> Iterator[Problem]:
    """Faults that only keys of different parts together show."""
    if settings.site.listen == settings.admin.listen and settings.site.listen.port != 0:
        message = f"is site.listen too ({settings.site.listen}), give the operator a port of its own"
        yield document.problem(("admin", "listen"), message)
    if settings.retention.entries < settings.stories.window:
        message = "must not be shorter than stories.window, a story would lose entries while it grows"
        yield document.problem(("retention", "entries"), message)


# ---------------------------------------------------------------- saying what is wrong


def _fault(model: type[BaseModel], document: Document, detail: ErrorDetails) -> Problem:
    """One finding of pydantic in our words: what is wrong and the remedy. No secret's text is repeated."""
    path: KeyPath = tuple(detail["loc"])
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, KeyFault):
        path = (*path, cause.key)
    return document.problem(path, _message(model, path, detail))


def _message(model: type[BaseModel], path: KeyPath, detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if detail["input"] is None and kind != "missing":
        return "is empty, give a value or remove the key"
    if kind == "extra_forbidden":
        return _unknown_key(str(path[-1]), _keys_at(model, path[:-1]))
    if kind == "missing":
        return "missing, add it"
    if kind == "value_error":
        return str(context.get("error", detail["msg"]))
    if kind == "literal_error":
        return _not_one_of(detail["input"], context["expected"])
    if kind in _WRONG_TYPE:
        return f"must be {_WRONG_TYPE[kind]}, not {_shown(path, detail['input'])}{_quotes(kind, detail['input'])}"
    if kind in _BOUNDS:
        return f"must be {_BOUNDS[kind]} {context.get('ge', context.get('le', context.get('gt')))}"
    if kind == "string_too_short":
        return "is empty, give a value or remove the key"
    if kind == "string_too_long":
        return f"is longer than {context['max_length']} characters, shorten it"
    if kind == "string_pattern_mismatch":
        return f"{_shown(path, detail['input'])} does not fit, {_FORMS.get(str(path[0]), 'see docs/configuration.md')}"
    return f"{detail['msg'].lower()}, see docs/configuration.md"


_WRONG_TYPE = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "tuple_type": "a list, written [one, two] or line by line after '- '",
    "dict_type": "a mapping, written {name: value} or in lines of 'name: value'",
    "model_type": "a mapping, written {key: value} or in lines of 'key: value'",
}
_BOUNDS = {"greater_than_equal": "at least", "less_than_equal": "at most", "greater_than": "more than"}
_FORMS = {
    "languages": "write two or three small letters such as en",
    "digest": "write an e-mail address such as editor@example.org",
    "fetch": "write printable ASCII without parentheses, such as https://example.org/about",
    "rules": "write a-z, 0-9 and single hyphens",
}


def _unknown_key(key: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(key.lower().replace("-", "_"), known, n=1, cutoff=0.6)
    if near:
        return f"unknown key, did you mean '{near[0]}'?"
    return f"unknown key, remove it; known here: {', '.join(known)}"


def _not_one_of(value: object, expected: str) -> str:
    names = [part.strip("' ") for part in expected.replace(" or ", ", ").split(",")]
    near = difflib.get_close_matches(value.lower(), names, n=1) if isinstance(value, str) else []
    remedy = f", did you mean '{near[0]}'?" if near else ""
    return f"must be one of {', '.join(names)}; not {shorten(value)}{remedy}"


def _shown(path: KeyPath, value: object) -> str:
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "a mapping"
    is_secret = any(step in ("auth", "headers", "proxy", "token", "smtp", "database") for step in path)
    if isinstance(value, SecretStr) or is_secret:
        return "what stands there"
    return str(value).lower() if isinstance(value, bool) else shorten(value)


def _quotes(kind: str, value: object) -> str:
    """The remedy for what YAML read as something else than was meant."""
    if kind == "string_type" and isinstance(value, bool | int | float):
        return "; put it in quotes"
    if kind == "bool_type" and str(value).lower() in ("yes", "on", "no", "off"):
        return f"; write {'true' if str(value).lower() in ('yes', 'on') else 'false'}"
    return ""


def _keys_at(model: type[BaseModel], path: KeyPath) -> tuple[str, ...]:
    """The keys known at a path of the model, none where it leads out of the models."""
    for step in path:
        if isinstance(step, str):
            field = model.model_fields.get(step)
            inner = _model_in(field.annotation) if field else None
            if inner is None:
                return ()
            model = inner
    return tuple(model.model_fields)


def _model_in(annotation: object) -> type[BaseModel] | None:
    """The model in `Model`, `Model | None`, `tuple[Model, ...]`, `Annotated[Model, …]`; None if there is none."""
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation if issubclass(annotation, BaseModel) else None
    return next((found for argument in get_args(annotation) if (found := _model_in(argument))), None)
