"""The manual page bmn(1): commands and options as argparse knows them, between what is written in `bmn.1.in`.

    python deploy/man.py > bmn.1

Made anew for every package, so it cannot fall behind the program.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from aggregator import __version__
from aggregator.cli import parser

Parser = argparse.ArgumentParser
COMMON = ("config", "json")  # the template explains them once


def page(template: str) -> str:
    """The template with its `@VERSION@` and its line `@COMMANDS@` filled in."""
    commands = "\n".join(line for words, command in walked(parser(), ()) for line in section(words, command))
    return template.replace("@VERSION@", __version__).replace("@COMMANDS@", commands)


def walked(command: Parser, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Parser]]:
    """Every command that can be run, with the words that call it, in the order of `bmn --help`."""
    children = [action for action in command._actions if isinstance(action, argparse._SubParsersAction)]
    if words and (not children or command.get_default("command")):
        yield words, command
    for action in children:
        for word, child in action.choices.items():
            yield from walked(child, (*words, word))


def section(words: tuple[str, ...], command: Parser) -> Iterator[str]:
    """The lines of one command: how to call it, what it does, its options, its example."""
    yield f".SS bmn {plain(' '.join(words))}"
    arguments = [
        one for one in command._actions if not isinstance(one, argparse._SubParsersAction | argparse._HelpAction)
    ]
    calls = " ".join(filter(None, (called(one) for one in arguments)))
    yield f".B bmn {plain(' '.join(words))}"
    yield calls
    yield ".PP"
    yield plain(sentence(command.description or ""))
    for one in arguments:
        if one.help and one.help is not argparse.SUPPRESS and one.dest not in COMMON:
            yield ".TP"
            yield named(one)
            yield plain(sentence(one.help % {"default": one.default, "prog": command.prog}))
    if command.epilog:
        yield ".PP"
        yield ".EX"
        yield plain(command.epilog.removeprefix("example: "))
        yield ".EE"


def called(action: argparse.Action) -> str:
    """One argument as a synopsis shows it."""
    words = named(action)
    if action.option_strings:
        return words if action.required else f"[{words}]"
    return {"?": f"[{words}]", "*": f"[{words} ...]", "+": f"{words} ..."}.get(str(action.nargs), words)


def named(action: argparse.Action) -> str:
    value = str(action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper()))
    if not action.option_strings:
        return rf"\fI{plain(value)}\fR"
    name = rf"\fB{plain(action.option_strings[0])}\fR"
    return name if action.nargs == 0 else rf"{name} \fI{plain(value)}\fR"


def sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?")) or not text else ".")


def plain(text: str) -> str:
    """Text that troff prints as it is."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq")
    escaped = "".join(c if c.isascii() else rf"\[u{ord(c):04X}]" for c in escaped)
    return rf"\&{escaped}" if escaped.startswith((".", "\\(aq")) else escaped


if __name__ == "__main__":
    sys.stdout.write(page(Path(__file__).with_name("bmn.1.in").read_text("utf-8")))
