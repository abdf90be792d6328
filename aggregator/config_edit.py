"""sources.yaml edited in place: a source put in or taken out by lines, every other byte left as it was.

`config.check_sources` judges the file before and after; what would not validate is not written. The file is replaced
in one step, so that a daemon that reads it meanwhile sees the old one or the new one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aggregator import config_yaml
from aggregator.config import check_sources, source_key
from aggregator.errors import AggregatorError, ConfigError, NotFound

KEYS = ("url", "title", "section", "section_is", "every", "weight", "include", "exclude", "enabled")

# As libyaml counts lines, so that its marks fit.
_LINE = re.compile("[^\r\n\x85\u2028\u2029]*(?:\r\n|[\r\n\x85\u2028\u2029]|$)")
# Text that means itself without quotes, inside and outside of [ ].
_PLAIN = re.compile(r"[A-Za-z0-9/(](?:[^\s:#,\[\]{}\"'`]|[:](?=\S)|(?<=\S) (?=[^\s#]))*")


class EditError(AggregatorError):
    """The file cannot be changed as asked; it stays as it is."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the list of sources stands: `spans` are (first line, line behind the last) from 0; `column` of the dashes.
    `empty` is (line, first column, column behind) of a `[]`; `key` the (line, column) behind the word `sources`."""

    key: tuple[int, int]
    spans: tuple[tuple[int, int], ...] = ()
    column: int = 2
    empty: tuple[int, int, int] | None = None


def add_source(path: Path, url: str, **keys: object) -> None:
    """One more source in the file. `keys` are those of sources.yaml with their values as YAML gives them.

    It is put behind the last source of its section, else at the end. Raises EditError where it is listed already or
    the file's form forbids, ConfigError where the file is not valid before or after.
    """
    add_sources(path, [{"url": url, **keys}])


def add_sources(path: Path, sources: Sequence[Mapping[str, object]]) -> None:
    """Several sources at once, or none of them."""
    with _exclusive(path):
        _replace(path, _with_sources(_checked(path), path, sources))


def remove_source(path: Path, url: str) -> None:
    """The file without the source of that address, however it is spelt. NotFound where it is not listed."""
    with _exclusive(path):
        _replace(path, _without_source(_checked(path), path, url))


# ---------------------------------------------------------------- text to text


def _with_sources(data: bytes, path: Path, sources: Sequence[Mapping[str, object]]) -> bytes:
    before = _listed(data)
    _refuse_listed(data, path, before, sources)
    text = data.decode("utf-8")
    lines, layout = _lines(text), _layout(text, path)
    if layout.empty is not None:
        number, start, end = layout.empty
        rest = lines[number][end:]
        lines[number] = lines[number][:start].rstrip() + (f"  {rest.lstrip()}" if rest.strip() else rest)
    newline = "\r\n" if lines[0].endswith("\r\n") else "\n"
    if not lines[-1].endswith(("\n", "\r")):
        lines[-1] += newline
    added: dict[tuple[int, int], list[Mapping[str, object]]] = {}
    for source in sources:
        added.setdefault(_place(layout, before, source.get("section")), []).append(source)
    after = list(before)
    for (position, index), group in sorted(added.items(), reverse=True):  # from below, so that the places stay true
        lines[position:position] = [line + newline for source in group for line in _written(source, layout.column)]
        after[index:index] = [{key: source[key] for key in KEYS if source.get(key) is not None} for source in group]
    return _verified(lines, after, path)


def _refuse_listed(
    data: bytes, path: Path, before: list[dict[str, Any]], sources: Sequence[Mapping[str, object]]
) -> None:
    listed = {source_key(known["url"]): index for index, known in enumerate(before)}
    for source in sources:
        if (index := listed.get(source_key(str(source["url"])))) is not None:
            line = config_yaml.parse(data, "").line(("sources", index))
            raise EditError(f"{path}:{line}: {before[index]['url']} is listed already, edit it there")


def _without_source(data: bytes, path: Path, url: str) -> bytes:
    text = data.decode("utf-8")
    before = _listed(data)
    index = next((i for i, known in enumerate(before) if source_key(known["url"]) == source_key(url)), None)
    if index is None:
        raise NotFound(f"{path}: {url} is not listed, see 'bmn sources list'")
    lines, layout = _lines(text), _layout(text, path)
    if layout.empty is not None or len(layout.spans) != len(before):
        raise _unfit(path)
    first, behind = layout.spans[index]
    del lines[first:behind]
    if len(before) == 1:
        number, column = layout.key
        colon = lines[number].index(":", column) + 1
        lines[number] = f"{lines[number][:colon]} []{lines[number][colon:]}"
    return _verified(lines, before[:index] + before[index + 1 :], path)


def _listed(data: bytes) -> list[dict[str, Any]]:
    """The sources as YAML gives them; the caller has had the file checked."""
    value = config_yaml.parse(data, "").value
    return list(value["sources"]) if isinstance(value, dict) else []


def _verified(lines: list[str], expected: list[dict[str, Any]], path: Path) -> bytes:
    """The bytes of the lines, if they are valid and say what they should: a form may be odder than we understand."""
    data = "".join(lines).encode("utf-8")
    check_sources(data, path)
    if _listed(data) != expected:
        raise _unfit(path)
    return data


def _place(layout: _Layout, sources: list[dict[str, Any]], section: object) -> tuple[int, int]:
    """The line to insert at and the index the new source will have: behind the last of its section, else last."""
    if not layout.spans:
        return (layout.empty or layout.key)[0] + 1, 0
    alike = [i for i, source in enumerate(sources) if section is not None and source.get("section") == section]
    after = alike[-1] if alike else len(sources) - 1
    return layout.spans[after][1], after + 1


def _written(source: Mapping[str, object], column: int) -> list[str]:
    pairs = [(key, source[key]) for key in KEYS if source.get(key) is not None]
    if unknown := set(source) - set(KEYS):
        raise EditError(f"{', '.join(sorted(unknown))}: set this by hand")
    indent = " " * column
    return [f"{indent}{'- ' if not number else '  '}{key}: {_yaml(value)}" for number, (key, value) in enumerate(pairs)]


def _yaml(value: object) -> str:
    """A value as YAML in one line; `_verified` makes sure that it reads back as the same."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(_yaml(item) for item in value)}]"
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and config_yaml.resolve(value) == value:
        return value
    if value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    # Not as JSON has it: YAML does not put surrogates together.
    quoted = "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in value)
    return f'"{quoted}"'


# ---------------------------------------------------------------- where things stand


def _lines(text: str) -> list[str]:
    return [line for line in _LINE.findall(text) if line]


def _layout(text: str, path: Path) -> _Layout:
    """Where the sources stand in a text that is known to be valid; EditError where the form is not for us."""
    events = list(config_yaml.events(text.removeprefix("\ufeff")))
    root = events[2]  # behind the starts of stream and document
    if root.flow_style:
        raise _unfit(path)
    key, opening = events[3], events[4]
    start, end = key.end_mark, opening.start_mark
    if opening.flow_style:
        closing = events[5]
        is_bare = type(closing).__name__ == "SequenceEndEvent" and closing.end_mark.line == end.line == start.line
        if not is_bare:
            raise _unfit(path)
        return _Layout((start.line, start.column), empty=(end.line, end.column, closing.end_mark.column))
    spans = _spans(_lines(text), list(_extents(events[5:])), end.column)
    return _Layout((start.line, start.column), tuple(spans), end.column)


def _extents(events: Sequence[Any]) -> Iterator[tuple[int, int]]:
    """First and last line of every item's content, block scalars apart: their end is found by indentation."""
    depth, first, last = 0, -1, -1
    for event in events:
        kind = type(event).__name__
        if kind == "SequenceEndEvent" and depth == 0:
            return
        first = event.start_mark.line if first < 0 else first
        depth += kind.endswith("StartEvent") - kind.endswith("EndEvent")
        is_exact = event.start_mark.index != event.end_mark.index and getattr(event, "style", None) not in ("|", ">")
        if is_exact:
            last = max(last, event.end_mark.line)
        if depth == 0:
            yield first, max(first, last)
            first, last = -1, -1


def _spans(lines: list[str], extents: list[tuple[int, int]], column: int) -> Iterator[tuple[int, int]]:
    """The lines of each item, from its dash to its last content or comment that is indented deeper than the dash."""
    for first, last in extents:
        while not lines[first][column:].startswith("-"):  # "-" may stand alone above its item
            first -= 1
        behind = last + 1
        for number in range(behind, len(lines)):
            line = lines[number]
            if line.strip() and len(line) - len(line.lstrip()) <= column:
                break
            if line.strip():
                behind = number + 1
        yield first, behind


def _unfit(path: Path) -> EditError:
    return EditError(f"{path}: the list of sources is in a form only a person can edit, write one '- url: …' per line")


# ---------------------------------------------------------------- the file


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """One editor at a time: the folder is locked, because the file itself is replaced."""
    try:
        folder = os.open(path.resolve().parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise EditError(f"{path}: {error.strerror or error}") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _checked(path: Path) -> bytes:
    """The file's bytes; ConfigError where they are not valid."""
    try:
        data = path.read_bytes()
    except OSError:
        raise ConfigError(config_yaml.read(path).problems) from None
    check_sources(data, path)
    return data


def _replace(path: Path, data: bytes) -> None:
    """The file's new content, on disk when this returns. Owner and mode stay; a link keeps pointing to the file."""
    target = path.resolve()
    try:
        status = target.stat()
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                os.fchmod(stream.fileno(), status.st_mode & 0o7777)
                with contextlib.suppress(PermissionError):
                    os.fchown(stream.fileno(), status.st_uid, status.st_gid)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
        _sync_folder(target.parent)
    except OSError as error:
        raise EditError(f"{path}: cannot be written: {error.strerror or error}") from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
