"""`bmn`: the operator's commands. Results on stdout, talk on stderr.

Exit codes: 0 done, 1 failed, 2 misuse, 78 bad configuration.

Each command is a function `(arguments, console) -> exit code` in a `cli_*` module; this one parses and dispatches.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from aggregator import (
    __version__,
    cli_change,
    cli_corrections,
    cli_db,
    cli_filing,
    cli_keep,
    cli_rebuild,
    cli_run,
    cli_sources,
    cli_status,
    cli_stories,
    cli_takedown,
    cli_train,
)
from aggregator.cli_common import BAD_CONFIGURATION, FAILED, Console
from aggregator.errors import AggregatorError, ConfigError

Command = Callable[[argparse.Namespace, Console], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. Misuse ends in argparse's own SystemExit(2)."""
    options = parser().parse_args(arguments)
    console = Console(sys.stdout, sys.stderr)
    try:
        code: int = options.command(options, console)
        sys.stdout.flush()
    except ConfigError as error:
        for problem in error.problems:
            console.say(str(problem))
        return BAD_CONFIGURATION
    except AggregatorError as error:
        console.say(f"bmn: {error}")
        return FAILED
    except BrokenPipeError:
        # `bmn stories | head`: the reader has what it wanted. Keep the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return code


def parser() -> argparse.ArgumentParser:
    """Every command and option; the manual page is made from it (deploy/man.py)."""
    top = argparse.ArgumentParser(
        prog="bmn",
        description="Polls news feeds, keeps each story once, files it and republishes merged feeds.",
        epilog="example: bmn run --config config/aggregator.yaml",
    )
    top.add_argument("--version", action="version", version=f"bmn {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    run = _command(commands, "run", cli_run.run, "run the daemon", "bmn run --config /etc/bmn/aggregator.yaml")
    run.add_argument(
        "--role",
        choices=["all", "poll", "edit", "web"],
        default="all",
        help="what this process does; all (default) but for several processes on PostgreSQL",
    )
    run.add_argument("--listen", metavar="ADDRESS", help="instead of site.listen: host:port or unix:PATH")
    run.add_argument("--admin-listen", metavar="ADDRESS", help="instead of admin.listen")

    poll = _command(commands, "poll", cli_run.poll, "poll once, group, publish, exit", "bmn poll --all --json")
    poll.add_argument("urls", nargs="*", metavar="URL", help="only these sources, due or not")
    poll.add_argument("--all", action="store_true", help="every enabled source, due or not")
    _json(poll)

    _command(commands, "check", cli_run.check, "validate the configuration", "bmn check --config new.yaml")

    init = _command(commands, "init", cli_run.init, "write a commented starter configuration", "bmn init /etc/bmn")
    init.add_argument("directory", metavar="DIR")

    export = _command(commands, "export", cli_run.export, "write feeds and pages as static files", "bmn export site/")
    export.add_argument("directory", metavar="DIR")

    demo = _command(commands, "demo", cli_run.demo, "the whole product with invented news, no network", "bmn demo")
    demo.add_argument("--listen", default="127.0.0.1:8080", metavar="HOST:PORT", help="default 127.0.0.1:8080")
    demo.add_argument("--speed", type=float, default=1.0, metavar="X", help="how fast the news comes (default 1)")

    prune = _command(commands, "prune", cli_run.prune, "take out what retention has ended", "bmn prune --dry-run")
    prune.add_argument("--dry-run", action="store_true", help="only say what would go")
    _json(prune)

    _keeping(commands)
    _changing(commands)
    _sources(commands)
    _stories(commands)
    _rules(commands)

    train = _command(
        commands,
        "train",
        cli_train.train,
        "let the section model learn from corrections, or go back",
        "bmn train --corrections --dry-run",
    )
    what = train.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--corrections", action="store_true", help="learn from what was filed by hand; 1 if that is no gain"
    )
    what.add_argument("--rollback", action="store_true", help="back to what was learnt before, or to the shipped model")
    train.add_argument("--dry-run", action="store_true", help="only report")
    _json(train)

    explain = _command(
        commands,
        "explain",
        cli_stories.explain,
        "why a story is as it is, or when a feed is polled next",
        "bmn explain https://example.org/news/1",
    )
    explain.add_argument("what", metavar="STORY_ID|URL")
    explain.add_argument("other", metavar="STORY_ID|URL", nargs="?", help="why these two are one story, or are not")
    _json(explain)

    evaluate = _command(
        commands,
        "evaluate",
        cli_stories.evaluate,
        "score our models on labelled JSONL",
        "bmn evaluate sections dev.jsonl.gz",
    )
    evaluate.add_argument("kind", choices=["sections", "pairs", "stories"])
    evaluate.add_argument("file", metavar="FILE")
    _json(evaluate)

    status = _command(
        commands, "status", cli_status.status, "how sources, queues and freshness are", "bmn status --json"
    )
    _json(status)
    return top


def _keeping(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    backup = _command(
        commands,
        "backup",
        cli_keep.back_up,
        "write the database to one file, also while the daemon runs",
        "bmn backup /var/backups/bmn.db",
    )
    backup.add_argument("file", metavar="FILE")
    backup.add_argument("--force", action="store_true", help="replace FILE where it exists")
    _json(backup)
    restore = _command(
        commands,
        "restore",
        cli_keep.restore,
        "put a backup in the database's place; what was there is kept beside it",
        "bmn restore /var/backups/bmn.db",
    )
    restore.add_argument("file", metavar="FILE")
    _json(restore)
    rebuild = _command(
        commands,
        "rebuild",
        cli_rebuild.rebuild,
        "make the index for searching anew and print everything from the store",
        "bmn rebuild --verify",
    )
    what = rebuild.add_mutually_exclusive_group()
    what.add_argument(
        "--verify",
        action="store_true",
        help="only print, twice, and compare byte for byte, with a running daemon as well; 1 where anything differs",
    )
    what.add_argument("--print", action="store_true", help="only print")
    _json(rebuild)
    group = commands.add_parser("db", help="copy the database", description="Copy the database.")
    copy = _command(
        group.add_subparsers(required=True, metavar="VERB"),
        "copy",
        cli_db.copy,
        "copy everything into another, empty database: SQLite to PostgreSQL and back",
        "bmn db copy postgresql+psycopg://bmn@db.example.org/bmn",
    )
    copy.add_argument("url", metavar="URL", help="its address, as for the key database")
    _json(copy)


def _changing(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    group = commands.add_parser("config", help="compare configurations", description="Compare configurations.")
    diff = _command(
        group.add_subparsers(required=True, metavar="VERB"),
        "diff",
        cli_change.diff,
        "what another configuration would change: sources, keys, merged feeds",
        "bmn config diff new.yaml",
    )
    diff.add_argument("file", metavar="FILE", help="the aggregator.yaml to be tried")
    _json(diff)
    backtest = _command(
        commands,
        "backtest",
        cli_change.try_out,
        "tell stored history by another configuration: what each merged feed would gain and lose; nothing is saved",
        "bmn backtest new.yaml --since 7d",
    )
    backtest.add_argument("file", metavar="FILE", help="the aggregator.yaml to be tried")
    backtest.add_argument("--since", metavar="D", default="7d", help="a duration or a date (2026-11-24); default 7d")
    backtest.add_argument(
        "--limit", type=_positive, default=20_000, metavar="N", help="the newest so many entries; default 20000"
    )
    _json(backtest)


def _sources(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    group = commands.add_parser("sources", help="list and edit the sources", description="List and edit the sources.")
    verbs = group.add_subparsers(required=True, metavar="VERB")
    listing = _command(verbs, "list", cli_sources.list_, "every source with its health", "bmn sources list --json")
    _json(listing)
    add = _command(
        verbs, "add", cli_sources.add, "add a source to the YAML", "bmn sources add https://example.org/feed"
    )
    add.add_argument("url", metavar="URL")
    add.add_argument("--title")
    add.add_argument("--section", choices=["tech", "companies", "economics", "marketing"])
    add.add_argument("--weight", type=float)
    add.add_argument("--every", metavar="DURATION")
    remove = _command(verbs, "remove", cli_sources.remove, "take a source out of the YAML", "bmn sources remove URL")
    remove.add_argument("url", metavar="URL")
    import_ = _command(
        verbs, "import", cli_sources.import_, "add every feed of an OPML list", "bmn sources import my.opml"
    )
    import_.add_argument("file", metavar="FILE")
    import_.add_argument(
        "--section", choices=["tech", "companies", "economics", "marketing"], help="for those without one"
    )
    export = _command(verbs, "export", cli_sources.export, "the sources as OPML", "bmn sources export > my.opml")
    export.add_argument("file", nargs="?", metavar="FILE", help="default: stdout")
    down = _command(
        verbs,
        "takedown",
        cli_takedown.source,
        "take a source, with all that it told, out of everything that is published",
        "bmn sources takedown https://example.org/feed --reason 'asked by the publisher'",
    )
    _takedown(down, "URL")
    _json(down)
    discover = _command(
        verbs, "discover", cli_sources.discover, "find the feeds of a site", "bmn sources discover example.org"
    )
    discover.add_argument("url", metavar="URL")
    discover.add_argument("--add", action="store_true", help="add the first one found")
    _json(discover)


def _stories(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "list and correct the stories"
    group = commands.add_parser("stories", help=about, description="List and correct the stories.")
    group.set_defaults(command=cli_stories.list_)
    _listing(group)
    verbs = group.add_subparsers(metavar="VERB")
    # What is said before the verb holds as well: the verb's own options have no defaults.
    example = "bmn stories list --section tech --since 24h"
    listing = verbs.add_parser(
        "list",
        help="the newest stories",
        description="The newest stories.",
        epilog=f"example: {example}",
        argument_default=argparse.SUPPRESS,
    )
    _listing(listing, is_nested=True)
    merge = _correction(
        verbs, "merge", cli_corrections.merge, "make stories one", "bmn stories merge abcdefghij klmnopqrst"
    )
    merge.add_argument("id", metavar="ID")
    merge.add_argument("ids", metavar="ID", nargs="+", help="of stories that tell the same event")
    split = _correction(
        verbs,
        "split",
        cli_corrections.split,
        "take a story apart",
        "bmn stories split abcdefghij https://example.org/another-event",
    )
    split.add_argument("id", metavar="ID")
    split.add_argument(
        "urls",
        metavar="ENTRY_URL",
        nargs="*",
        default=[],
        help="entries that leave together as a story of their own; without any, all but the lead leave, each alone",
    )

    file = _correction(
        verbs, "file", cli_filing.file, "file a story under another section", "bmn stories file abcdefghij companies"
    )
    file.add_argument("id", metavar="ID")
    file.add_argument(
        "section",
        choices=["tech", "companies", "economics", "marketing", "none", "forget"],
        metavar="SECTION",
        help="tech, companies, economics, marketing, none; forget: leave it to the model and the rules again",
    )

    down = _correction(
        verbs,
        "takedown",
        cli_takedown.story,
        "take a story, or one article of it, out of everything that is published",
        "bmn stories takedown abcdefghij --reason 'asked by the publisher'",
    )
    down.set_defaults(restore=False)
    _takedown(down, "ID|ENTRY_URL")


def _takedown(command: argparse.ArgumentParser, what: str) -> None:
    about = "what to take down; without it, what is taken down"
    command.add_argument("name", metavar=what, nargs="?", default=None, help=about)
    command.add_argument("--reason", metavar="TEXT", default=None, help="remembered, and shown to nobody but operators")
    command.add_argument("--restore", action="store_true", help="put it back as it was")


def _rules(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    group = commands.add_parser(
        "rules", help="try the rules, or apply them", description="Try the rules, or apply them."
    )
    verbs = group.add_subparsers(required=True, metavar="VERB")
    test = _command(
        verbs,
        "test",
        cli_filing.test,
        "which stored stories each rule would change; nothing is saved",
        "bmn rules test --config new.yaml --since 7d",
    )
    test.add_argument("--since", metavar="D", default="7d", help="a duration or a date (2026-11-24); default 7d")
    _json(test)
    apply = _command(
        verbs, "apply", cli_filing.apply, "file stored stories anew by the rules in use", "bmn rules apply --since 30d"
    )
    apply.add_argument("--since", metavar="D", help="a duration (30d) or a date (2026-11-24); default: all stories")
    _json(apply)


def _correction(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, command: Command, about: str, example: str
) -> argparse.ArgumentParser:
    # What is said before the verb holds as well: the verb's own options have no defaults.
    made = verbs.add_parser(
        name,
        help=about,
        description=f"{about[0].upper()}{about[1:]}; remembered, and heeded from then on.",
        epilog=f"example: {example}",
        argument_default=argparse.SUPPRESS,
    )
    made.set_defaults(command=command)
    _config(made)
    _json(made)
    return made


def _listing(command: argparse.ArgumentParser, *, is_nested: bool = False) -> None:
    command.add_argument(
        "--section", choices=["tech", "companies", "economics", "marketing", "none", "unsure", "withheld"]
    )
    command.add_argument("--label", metavar="NAME", help="only those with this label: funding, acquisition …")
    command.add_argument("--search", metavar="WORDS", help='only those that hold these words, "phrases", no -words')
    command.add_argument("--since", metavar="D", help="a duration (24h) or a date (2026-11-24)")
    limit = argparse.SUPPRESS if is_nested else 50
    command.add_argument("--limit", type=_positive, default=limit, metavar="N", help="default 50")
    _config(command)
    command.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS if is_nested else False,
        help="one JSON document on stdout",
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, command: Command, about: str, example: str
) -> argparse.ArgumentParser:
    made = commands.add_parser(
        name, help=about, description=f"{about[0].upper()}{about[1:]}.", epilog=f"example: {example}"
    )
    made.set_defaults(command=command)
    _config(made)
    return made


def _config(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--config",
        metavar="PATH",
        help="default: $BMN_CONFIG, else config/aggregator.yaml, else the packaged defaults",
    )


def _json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="one JSON document on stdout")


if __name__ == "__main__":
    raise SystemExit(main())
