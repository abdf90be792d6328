"""The score of the event labels: what counts, what does not, and that our own label file can be read."""

from __future__ import annotations

import gzip
import json

import pytest

from aggregator.stories import evaluate_events
from aggregator.stories.evaluate_events import Judged, read_judged, read_texts, scores
from aggregator.stories.train import LABELS_DIR, key_of


def a_judged(labels: str = "", either: str = "", weight: float = 1.0, part: str = "test") -> Judged:
    return Judged(part, weight, frozenset(labels.split()), frozenset(either.split()))


def test_right_wrong_and_missed_are_counted_and_doubt_counts_neither_way() -> None:
    rows = [
        (a_judged("funding"), frozenset({"funding"})),
        (a_judged(""), frozenset({"funding"})),
        (a_judged("", either="funding"), frozenset({"funding"})),
        (a_judged("", either="funding"), frozenset()),
        (a_judged("funding", weight=4.0), frozenset()),
    ]
    found = scores(rows)["funding"]
    assert found == {"fired": 2, "right": 1, "precision": 0.5, "missed": 4.0, "recall": 0.2}


def test_a_label_without_cases_has_no_precision() -> None:
    assert scores([(a_judged(), frozenset())])["ipo"] == {
        "fired": 0, "right": 0, "precision": None, "missed": 0, "recall": None
    }  # fmt: skip


def test_an_unknown_label_is_named_with_its_line() -> None:
    with pytest.raises(ValueError, match=r"events.tsv:2: unknown label fundng"):
        read_judged(["# ours\n", "00\ttest\t1\tfundng launch?\n"])


def test_our_label_file_can_be_read() -> None:
    judged = read_judged((LABELS_DIR / "events.tsv").read_text(encoding="utf-8").splitlines())
    assert len(judged) > 2000
    assert {row.part for row in judged.values()} == {"tune", "test", "fresh"}


def test_the_texts_are_found_by_key_and_the_report_is_printed(tmp_path, monkeypatch, capsys) -> None:
    rows = [
        {"title": "Quillon raises $12M Series A", "summary": "", "link": "https://a.example/1"},
        {"title": "Quillon to cut 400 jobs", "summary": None, "link": None},
        {"title": "Rain in Brno", "summary": "", "link": "https://a.example/3"},
    ]
    with gzip.open(tmp_path / "rss_stream_2026.jsonl.gz", "wt") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)
    keys = [key_of(row["link"] or "", row["title"]) for row in rows[:2]]
    assert [key for key, _, _ in read_texts(tmp_path, keys)] == keys
    labels = tmp_path / "labels"
    labels.mkdir()
    (labels / "events.tsv").write_text(f"{keys[0]}\ttest\t1\tfunding\n{keys[1]}\ttest\t1\tlaunch\n")
    (labels / "event_details.tsv").write_text(f"{keys[0]}\tfresh\tfunding\tQuillon\t-\t12e6 USD\tSeries A\t-\n")
    monkeypatch.setattr(evaluate_events, "LABELS_DIR", labels)
    assert evaluate_events.main(["--data", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    details = told["details"]["fresh"]
    assert [details[field]["right"] for field in ("company", "amount", "round", "jobs")] == [1, 1, 1, 0]
    found = told["test"]
    assert (found["funding"]["precision"], found["layoffs"]["precision"]) == (1.0, 0.0)


def test_without_collections_it_says_what_to_give(tmp_path, capsys) -> None:
    assert evaluate_events.main(["--data", str(tmp_path)]) == 1
    assert "give --data DIR" in capsys.readouterr().err
