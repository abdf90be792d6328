"""A YAML file as plain values plus the line of every key: bytes in, `Document` out, nothing raised for what they hold.

A narrow YAML on purpose: UTF-8, one document, no aliases, no tags, text keys, at most 50 levels. Plain words are
read as in YAML 1.2, so `no` and `07:00` stay text. `config` gives the values their meaning.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from aggregator.errors import Problem

KeyPath = tuple[str | int, ...]
Event = Any  # of PyYAML: the stubs give its events no attributes

MAX_BYTES = 32 << 20  # 20,000 sources with every key set are 6 MB
MAX_DEPTH = 50
# libyaml where PyYAML was built with it: 20,000 sources in 0.3 s instead of 10. Events and not nodes: the
# composer resolves each scalar by regular expressions (2.5 s) and recurses in C, without a limit.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_SIMPLE_KEY = re.compile(r"[\w-]+")


@dataclass(frozen=True, slots=True)
class Document:
    """One file read. `value` is None where nothing could be made of it; `lines` (from 1) has every key and item;
    `problems` are faults of the YAML itself, in file order."""

    file: str
    value: object = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def line(self, path: KeyPath) -> int:
        """The line of `path`, or of the nearest thing around it that the file does have."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 0)

    def problem(self, path: KeyPath, message: str) -> Problem:
        return Problem(self.file, self.line(path), dotted(path), message)


def dotted(path: KeyPath) -> str:
    """A key path as messages show it: `sources[3].every`. Odd keys are quoted and cut."""
    shown = ""
    for step in path:
        if isinstance(step, int):
            shown += f"[{step}]"
        elif _SIMPLE_KEY.fullmatch(step) and len(step) <= 60:
            shown += f".{step}" if shown else step
        else:
            shown += f"[{shorten(step)}]"
    return shown


def shorten(value: object) -> str:
    """A value as one short printable line for a message."""
    shown = ascii(value) if not str(value).isprintable() else repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."


def read(path: Path, file: str | None = None) -> Document:
    """The file at `path`; `file` is how messages call it, by default as the path was given."""
    file = file if file is not None else str(path)
    file = file if file.isprintable() else ascii(file)  # a message stays one line
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return _refused(file, 0, "there is no such file, check the path or run 'bmn init DIR' to begin with one")
    except IsADirectoryError:
        return _refused(file, 0, "is a directory, name the YAML file in it")
    except PermissionError:
        return _refused(file, 0, f"may not be read by this user (uid {os.geteuid()}), change its owner or mode")
    except (OSError, ValueError) as error:
        return _refused(file, 0, f"cannot be read: {getattr(error, 'strerror', None) or error}")
    return parse(data, file)


def parse(data: bytes, file: str) -> Document:
    """A document from the bytes of one; every fault becomes a problem."""
    if len(data) > MAX_BYTES:
        return _refused(file, 0, f"is larger than {MAX_BYTES >> 20} MiB, this is not a configuration file")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _refused(file, 1, "is UTF-16, save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = data[error.start]
        return _refused(file, line, f"is not UTF-8 (byte 0x{byte:02x}), save it as UTF-8")
    return _Builder(file).build(text)


def _refused(file: str, line: int, message: str) -> Document:
    return Document(file, problems=(Problem(file, line, "", message),))


class _Stop(Exception):
    """Reading further would tell nothing true."""


class _Builder:
    """One pass over the events of one text."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[KeyPath, int] = {}
        self.problems: list[Problem] = []

    def build(self, text: str) -> Document:
        value: object = None
        try:
            value = self._document(events(text))
        except yaml.YAMLError as error:
            line, message = _syntax_error(error, text)
            self.problems.append(Problem(self.file, line, "", message))
        except _Stop:
            pass
        else:
            if value is None and not self.problems:
                self.problems.append(Problem(self.file, 0, "", "is empty, see 'bmn init DIR' for one to begin with"))
        problems = tuple(sorted(self.problems, key=lambda problem: problem.line))
        return Document(self.file, value, self.lines, problems)

    def _note(self, event: Event, path: KeyPath, message: str) -> None:
        self.problems.append(Problem(self.file, event.start_mark.line + 1, dotted(path), message))

    def _document(self, events: Iterator[Event]) -> object:
        root: object = None
        seen = False
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if seen:
                    self._note(event, (), "a second document begins here, keep one per file")
                    raise _Stop
                seen = True
                root = self._value(next(events), events, ())
        return root

    def _value(self, event: Event, events: Iterator[Event], path: KeyPath) -> object:
        """The value that begins with `event`. Recursion is bounded by MAX_DEPTH."""
        kind = type(event)
        if kind is yaml.AliasEvent:
            self._note(event, path, f"aliases are refused, write out what '*{event.anchor}' stands for")
            return None
        if event.anchor is not None:
            self._note(event, path, f"anchors are refused, remove '&{event.anchor}'")
        if event.tag is not None:
            self._note(event, path, f"tags are refused, remove {shorten(event.tag)}")
        if kind is yaml.ScalarEvent:
            return resolve(event.value) if event.implicit[0] and not event.style else event.value
        if len(path) >= MAX_DEPTH:
            self._note(event, path[:3], f"nested deeper than {MAX_DEPTH} levels")
            raise _Stop
        self.lines.setdefault(path, event.start_mark.line + 1)
        return self._mapping(events, path) if kind is yaml.MappingStartEvent else self._sequence(events, path)

    def _sequence(self, events: Iterator[Event], path: KeyPath) -> list[object]:
        items: list[object] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            here = (*path, len(items))
            self.lines[here] = event.start_mark.line + 1
            items.append(self._value(event, events, here))
        return items

    def _mapping(self, events: Iterator[Event], path: KeyPath) -> dict[str, object]:
        values: dict[str, object] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self._key(event, events, path)
            here = (*path, key)
            if key in values:
                first = self.lines[here]
                self._note(event, here, f"set twice, first in line {first}; remove one")
                self._value(next(events), events, here)
                continue
            self.lines[here] = event.start_mark.line + 1
            values[key] = self._value(next(events), events, here)
        return values

    def _key(self, event: Event, events: Iterator[Event], path: KeyPath) -> str:
        if isinstance(event, yaml.ScalarEvent):
            if event.anchor is not None or event.tag is not None:
                self._value(event, events, (*path, event.value))  # for the message
            return str(event.value)
        self._note(event, path, "a key must be a single word")
        if not isinstance(event, yaml.AliasEvent):
            self._value(event, events, (*path, "?"))
        return f"?{event.start_mark.line + 1}:{event.start_mark.column}"


def resolve(plain: str) -> object:
    """What an unquoted word means: null, a truth value, a number or text (YAML 1.2 core schema, decimal only)."""
    if plain in _WORDS:
        return _WORDS[plain]
    if plain[0] in "+-.0123456789":
        if _INTEGER.fullmatch(plain):
            return int(plain)
        if _FLOAT.fullmatch(plain):
            return float(plain)
    return plain


def events(text: str) -> Iterator[Event]:
    """PyYAML's events of a text, each with its place; raises yaml.YAMLError where the text ends being YAML."""
    loader = _Loader(text)
    try:
        while loader.check_event():
            yield loader.get_event()
    finally:
        loader.dispose()


def _syntax_error(error: yaml.YAMLError, text: str) -> tuple[int, str]:
    """Line and message of what PyYAML complains about."""
    if isinstance(error, yaml.MarkedYAMLError):
        said = ", ".join(part for part in (error.problem, error.context) if part)
        lines = [mark.line + 1 for mark in (error.problem_mark, error.context_mark) if mark]
        # What never ends is best looked for where it begins: a quote, a key without its colon.
        is_endless = bool(error.context and error.context.startswith("while scanning") and len(lines) == 2)
        remedy = "tabs cannot indent, and @ ` % need quotes" if "any token" in said else "mind colons and indentation"
        return lines[-1] if is_endless else next(iter(lines), 0), f"not valid YAML: {said}; {remedy}, quote odd text"
    if isinstance(error, yaml.reader.ReaderError):
        line = text.encode()[: error.position].count(b"\n") + 1
        return line, f"a character that YAML does not allow ({shorten(error.character)}), remove it"
    return 0, f"not valid YAML: {error}"
