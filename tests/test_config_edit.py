"""Editing sources.yaml in place: the change, and every other byte as it was."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator import config
from aggregator.config_edit import EditError, add_source, add_sources, remove_source
from aggregator.errors import ConfigError, NotFound

LISTED = """\
# The head.
sources:   # what we read

  # Technology
  - url: https://a.example/feed   # the first
    title: 'A'
    section: tech
    # about the weight
    weight: 1.0

  - {url: "https://b.example/feed", section: tech}
  # Money
  -   url: https://c.example/feed
      section: economics
      include:
        - one
        - two

# The end.
"""


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    path = tmp_path / "sources.yaml"
    path.write_text(LISTED)
    return path


def test_a_source_is_put_behind_the_last_of_its_section(listing: Path) -> None:
    add_source(listing, "https://new.example/feed", title="New", section="tech", every="15m", weight=0.5)

    before, after = LISTED.split("  # Money\n")
    assert listing.read_text() == (
        before
        + "  - url: https://new.example/feed\n    title: New\n    section: tech\n    every: 15m\n    weight: 0.5\n"
        + "  # Money\n"
        + after
    )


def test_a_source_without_a_section_goes_to_the_end(listing: Path) -> None:
    add_source(listing, "https://new.example/feed")

    head, tail = LISTED.split("\n# The end.")
    assert listing.read_text() == f"{head}  - url: https://new.example/feed\n\n# The end.{tail}"


@pytest.mark.parametrize(
    ("url", "cut"),
    [
        ("https://a.example/feed", LISTED[LISTED.index("  - url: https://a") : LISTED.index("\n  - {url")]),
        ("HTTP://B.example:80/feed/", '  - {url: "https://b.example/feed", section: tech}\n'),
        ("https://c.example/feed", LISTED[LISTED.index("  -   url") : LISTED.index("\n# The end")]),
    ],
)
def test_a_source_is_taken_out_with_its_lines_and_no_others(listing: Path, url: str, cut: str) -> None:
    remove_source(listing, url)

    assert listing.read_text() == LISTED.replace(cut, "")


@pytest.mark.parametrize(
    "text",
    [
        LISTED,
        LISTED.replace("\n", "\r\n"),
        LISTED.rstrip().removesuffix("# The end.").rstrip(),
        "\ufeff" + LISTED,
        "sources:\n- url: https://a.example/feed\n- url: https://b.example/feed\n",
        "sources:\n-\n  url: https://a.example/feed\n-\n  # deep\n  url: https://b.example/feed\n",
        "---\nsources:\n    - url: https://a.example/feed\n      title: >-\n        many\n        words\n\n...\n",
        "sources:\n    - {\n  url: 'https://b.example/feed',\n  title: b}\n    - url: https://a.example/\n",
        "'sources' :\n  - title: \"x\n\n  y\"\n    url: https://a.example/feed\n",
        "sources: []\n",
        "sources: []  # none yet\n# more\n",
        "# é\nsources: [ ]",
    ],
)  # fmt: skip
def test_putting_in_and_taking_out_leaves_every_byte(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sources.yaml"
    path.write_bytes(text.encode())
    known = config.check_sources(text.encode(), path)

    add_source(path, "https://new.example/feed", title="Ünï: #1", section="tech")
    added = config.check_sources(path.read_bytes(), path)
    assert {source.url for source in added} == {*(source.url for source in known), "https://new.example/feed"}
    assert [source for source in added if source in known] == list(known)
    remove_source(path, "https://new.example/feed")

    left = path.read_bytes().decode()
    assert config.check_sources(left.encode(), path) == known
    if known:
        assert left.rstrip("\r\n") == text.rstrip("\r\n")  # a line needs its end before another can follow
    for line in text.splitlines():
        assert line.partition("#")[2] in left


def test_the_last_source_leaves_an_empty_list(tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    path.write_text("sources:  # mine\n  # the only one\n  - url: https://a.example/\n")

    remove_source(path, "https://a.example/")

    assert path.read_text() == "sources: []  # mine\n  # the only one\n"


@pytest.mark.parametrize(
    "text",
    [
        "{sources: [{url: 'https://a.example/'}]}\n",
        "sources: [{url: 'https://a.example/'}]\n",
        "sources: [\n]\n",
        "sources:\n  [\n  {url: 'https://a.example/'}]\n",
        "{sources: []}",
    ],
)
def test_a_form_for_people_is_left_to_people(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sources.yaml"
    path.write_text(text)

    with pytest.raises(EditError, match="in a form only a person can edit, write one '- url: …' per line"):
        add_source(path, "https://new.example/")
    assert path.read_text() == text


def test_what_is_listed_is_not_listed_again(listing: Path) -> None:
    with pytest.raises(EditError, match=r"sources.yaml:11: https://b.example/feed is listed already, edit it there"):
        add_source(listing, "http://B.example/feed/")
    assert listing.read_text() == LISTED


def test_what_is_not_listed_cannot_be_taken_out(listing: Path) -> None:
    with pytest.raises(NotFound, match=r"https://z.example/ is not listed, see 'bmn sources list'"):
        remove_source(listing, "https://z.example/")


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({"section": "sport"}, "section: must be one of tech"),
        ({"every": "often"}, "every: not a duration"),
        ({"title": "a\0b"}, "a character that YAML does not allow"),
        ({"weight": float("nan")}, "weight: must be a number"),
    ],
)
def test_what_would_not_be_valid_is_not_written(listing: Path, keys: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        add_source(listing, "https://new.example/", **keys)
    assert listing.read_text() == LISTED


def test_an_unknown_key_is_refused(listing: Path) -> None:
    with pytest.raises(EditError, match="auth: set this by hand"):
        add_source(listing, "https://new.example/", auth={"basic": "a:b"})


def test_a_file_with_faults_is_not_edited(tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    with pytest.raises(ConfigError, match="there is no such file"):
        add_source(path, "https://new.example/")
    path.write_text("sources:\n  - url: https://a.example/\n    evry: 1h\n")
    with pytest.raises(ConfigError, match=r"sources.yaml:3: sources\[0\].evry: unknown key"):
        remove_source(path, "https://a.example/")


def test_the_daemons_secrets_need_not_be_known(tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    path.write_text(
        "sources:\n  - url: https://a.example/\n    auth: {basic: '${NOT_SET}'}\n    proxy: ${NOT_SET}\n"
        "    headers: {X: '${file:/not/there}'}\n"
    )

    add_source(path, "https://new.example/")

    assert "${NOT_SET}" in path.read_text()


def test_several_are_put_in_together_or_not_at_all(listing: Path) -> None:
    with pytest.raises(EditError):
        add_sources(listing, [{"url": "https://x.example/"}, {"url": "https://a.example/feed"}])
    assert listing.read_text() == LISTED

    add_sources(listing, [{"url": f"https://{name}.example/", "section": "marketing"} for name in "xyz"])
    urls = [source.url for source in config.check_sources(listing.read_bytes(), listing)]
    assert urls[3:] == ["https://x.example/", "https://y.example/", "https://z.example/"]


def test_mode_and_links_stay(tmp_path: Path) -> None:
    real = tmp_path / "real.yaml"
    real.write_text("sources: []\n")
    real.chmod(0o640)
    link = tmp_path / "sources.yaml"
    link.symlink_to(real)

    add_source(link, "https://new.example/")

    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert "new.example" in real.read_text()
    assert sorted(os.listdir(tmp_path)) == ["real.yaml", "sources.yaml"]


def test_editors_at_the_same_time_lose_nothing(listing: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: add_source(listing, f"https://new{n}.example/"), range(24)))

    assert len(config.check_sources(listing.read_bytes(), listing)) == 3 + 24


TITLES = st.text(st.characters(exclude_categories=("Cc", "Cs", "Co", "Cn", "Zl", "Zp")), min_size=1, max_size=30)


@given(TITLES.filter(str.strip))
def test_any_title_reads_back_as_it_was_given(tmp_path_factory: pytest.TempPathFactory, title: str) -> None:
    path = tmp_path_factory.getbasetemp() / "titles.yaml"
    path.write_text("sources: []\n")

    add_source(
        path, "https://new.example/", title=title, include=[title.replace("\\", "")] if title.isalnum() else None
    )

    (source,) = config.check_sources(path.read_bytes(), path)
    assert source == config.Source(url="https://new.example/", title=title, include=source.include)


def test_the_shipped_list_can_be_edited(root: Path, tmp_path: Path) -> None:
    shipped = (root / "config" / "sources.yaml").read_bytes()
    path = tmp_path / "sources.yaml"
    path.write_bytes(shipped)

    add_source(path, "https://new.example/", section="companies")
    assert path.read_bytes() != shipped
    remove_source(path, "https://new.example/")
    assert path.read_bytes() == shipped
