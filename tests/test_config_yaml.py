"""Reading YAML with positions: plain values, lines of keys, faults of the file itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator import config_yaml


def faults(text: str | bytes) -> list[str]:
    data = text.encode() if isinstance(text, str) else text
    return [str(problem) for problem in config_yaml.parse(data, "c.yaml").problems]


@pytest.mark.parametrize(
    ("plain", "value"),
    [
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("07:00", "07:00"), ("1_000", "1_000"), ("0x10", "0x10"),
        ("true", True), ("False", False), ("null", None), ("~", None), ("12", 12), ("-3", -3), ("1.5", 1.5),
        ("1e3", 1000.0), (".5", 0.5), ("1.2.3", "1.2.3"), (".", "."), ("2026-03-04", "2026-03-04"), ("=", "="),
        ("9" * 30, float("9" * 30)), (".nan", ".nan"), (".inf", ".inf"),
    ],
)  # fmt: skip
def test_plain_words_mean_what_people_mean(plain: str, value: object) -> None:
    read = config_yaml.parse(f"key: {plain}\n".encode(), "c.yaml").value

    assert read == {"key": value}
    assert type(read["key"]) is type(value)


def test_quoted_words_are_text() -> None:
    assert config_yaml.parse(b"a: '12'\nb: \"true\"\nc: |\n  null\n", "c").value == {
        "a": "12",
        "b": "true",
        "c": "null\n",
    }


def test_every_key_and_item_has_its_line() -> None:
    document = config_yaml.parse(b"# c\nsources:\n  - url: a\n    every: b\n  - {url: c,\n     every: d}\n", "c")

    assert document.lines == {
        (): 2, ("sources",): 2, ("sources", 0): 3, ("sources", 0, "url"): 3, ("sources", 0, "every"): 4,
        ("sources", 1): 5, ("sources", 1, "url"): 5, ("sources", 1, "every"): 6,
    }  # fmt: skip


def test_a_missing_key_is_where_its_mapping_is() -> None:
    document = config_yaml.parse(b"a:\n  - b: 1\n", "c")

    assert document.line(("a", 0, "url")) == 2
    assert document.line(("nowhere", "at", "all")) == 1


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "c.yaml: is empty, see 'bmn init DIR' for one to begin with"),
        ("# only a comment\n", "c.yaml: is empty, see 'bmn init DIR' for one to begin with"),
        ("null\n", "c.yaml: is empty, see 'bmn init DIR' for one to begin with"),
        ("a: 1\nb: 2\na: 3\n", "c.yaml:3: a: set twice, first in line 1; remove one"),
        ("a:\n  - {b: 1, b: 2}\n", "c.yaml:2: a[0].b: set twice, first in line 2; remove one"),
        ("a: &x 1\n", "c.yaml:1: a: anchors are refused, remove '&x'"),
        ("a: !!python/name:os.system x\n", "c.yaml:1: a: tags are refused, remove 'tag:yaml.org,2002:python/name:"),
        ("a: ! x\n", "c.yaml:1: a: tags are refused, remove '!'"),
        ("a: 1\n---\nb: 2\n", "c.yaml:2: a second document begins here, keep one per file"),
        ("? [x]\n: 1\n", "c.yaml:1: a key must be a single word"),
        ("a: b: c\n", "c.yaml:1: not valid YAML: mapping values are not allowed in this context;"),
        ("a:\n\t- b\n", "c.yaml:2: not valid YAML: found character that cannot start any token"),
        ("a: 'b\n\n\n", "c.yaml:1: not valid YAML: found unexpected end of stream"),
        (b"a: 1\nb: \xff\n", "c.yaml:2: is not UTF-8 (byte 0xff), save it as UTF-8"),
        ("a: 1\n".encode("utf-16"), "c.yaml:1: is UTF-16, save it as UTF-8"),
        ("a: 1\nb: \x07\n", "c.yaml:2: a character that YAML does not allow"),
        ("[" * 51 + "]" * 51, "nested deeper than 50 levels"),
        ("a: " + "{a: " * 60 + "}" * 60, "c.yaml:1: a.a.a: nested deeper than 50 levels"),
        ("[" * 200_000, "nested deeper than 50 levels"),
    ],
)  # fmt: skip
def test_a_fault_of_the_file_says_where_and_what(text: str | bytes, fault: str) -> None:
    assert fault in "\n".join(faults(text))


def test_fifty_levels_are_allowed() -> None:
    assert faults("[" * 50 + "]" * 50) == []


def test_an_alias_is_refused_like_its_anchor() -> None:
    assert faults("a: &x [1]\nb: *x\n") == [
        "c.yaml:1: a: anchors are refused, remove '&x'",
        "c.yaml:2: b: aliases are refused, write out what '*x' stands for",
    ]


def test_laughter_costs_nothing() -> None:
    """Ten lines of aliases to aliases stand for 10^10 values in a reader that follows them."""
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 11)]

    assert len(faults("\n".join(lines))) == 11 + 100


def test_all_faults_are_found_in_order() -> None:
    assert [fault.split(" ")[0] for fault in faults("a: !x 1\nb: 1\nb: &y 2\nc: *y\n")] == [
        "c.yaml:1:", "c.yaml:3:", "c.yaml:3:", "c.yaml:4:",
    ]  # fmt: skip


def test_a_byte_order_mark_does_not_count() -> None:
    assert config_yaml.parse(b"\xef\xbb\xbfa: 1\n", "c").value == {"a": 1}


def test_what_is_no_readable_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()

    def fault(path: Path) -> str:
        return str(config_yaml.read(path, "c.yaml").problems[0])

    assert "c.yaml: there is no such file" in fault(tmp_path / "missing")
    assert "c.yaml: is a directory, name the YAML file in it" in fault(tmp_path / "folder")
    assert "c.yaml: cannot be read: Not a directory" in fault(Path("/dev/null/x"))
    assert "c.yaml: cannot be read: " in fault(Path("a\0b"))
    assert "c.yaml: is larger than 32 MiB" in fault(Path("/dev/zero"))


def test_a_file_name_of_several_lines_makes_one_line_of_message() -> None:
    fault = str(config_yaml.read(Path("/nowhere/a\nb")).problems[0])

    assert fault.startswith("'/nowhere/a\\nb': there is no such file")


def test_a_file_of_somebody_else_says_who_we_are(tmp_path: Path) -> None:
    secret = tmp_path / "secret.yaml"
    secret.write_text("a: 1\n")
    secret.chmod(0)
    if os.geteuid() == 0:  # root may read everything: ask as nobody
        tmp_path.chmod(0o711)
        child = os.fork()
        if child == 0:
            os.setuid(65534)
            problems = config_yaml.read(secret, "c.yaml").problems
            os._exit(0 if problems and "may not be read by this user (uid 65534)" in str(problems[0]) else 1)
        outcome = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert outcome == 0
    else:
        assert f"may not be read by this user (uid {os.geteuid()})" in str(config_yaml.read(secret).problems[0])


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (("sources", 3, "evry"), "sources[3].evry"),
        (("a", "b c"), "a['b c']"),
        ((0, 1), "[0][1]"),
        (("x" * 99,), "['" + "x" * 56 + "...]"),
    ],
)
def test_key_paths_are_shown_as_people_write_them(path: config_yaml.KeyPath, shown: str) -> None:
    assert config_yaml.dotted(path) == shown


@given(
    st.binary(max_size=200) | st.text(alphabet="ab:-[]{}&*!|>'\"#?,% \t\n\r\x85\u2028\\0", max_size=60).map(str.encode)
)
def test_no_bytes_make_it_raise(data: bytes) -> None:
    document = config_yaml.parse(data, "c.yaml")

    assert document.problems or document.value is not None
    assert all("\n" not in str(problem) for problem in document.problems)
