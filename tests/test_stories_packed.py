"""Articles of the window, packed and unpacked: every number as it was."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime

import numpy as np
import pytest

from aggregator.stories.compare import Article, Comparer
from aggregator.stories.packed import Packed
from aggregator.stories.terms import Terms

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TEXT = "A blast tore through the Dravec chemical plant outside Karvonia on Monday, killing 12 workers, police said."
ARTICLES = {
    "whole": ("Explosion at Karvonia plant kills twelve", TEXT, NOON, "herald.example"),
    "no text": ("Explosion at Karvonia plant kills twelve", "", NOON, "herald.example"),
    "nothing": ("", "", None, None),
    "another script": ("Взрыв на заводе: 12 погибших", "", NOON, "herald.example"),
}


def article(name: str) -> Article:
    return Comparer.load().article(*ARTICLES[name])


@pytest.mark.parametrize("name", ARTICLES)
def test_an_article_comes_back_as_it_was(name: str) -> None:
    before = article(name)
    after = Packed.of(before, before.subject.title, before.fingerprint.title_key).article()
    assert after.fingerprint == before.fingerprint
    for field in fields(Terms):
        assert getattr(after.subject.terms, field.name) == getattr(before.subject.terms, field.name), field.name
    for vector in ("title_vector", "vector"):
        assert np.array_equal(getattr(after.subject, vector), getattr(before.subject, vector))
    blank = np.zeros(0)
    same = {"terms": before.subject.terms, "title_vector": blank, "vector": blank}
    assert replace(after.subject, **same) == replace(before.subject, **same)


def test_a_comparison_does_not_see_the_difference() -> None:
    one, other = article("whole"), article("no text")
    packed = [Packed.of(each, "", "") for each in (one, other)]
    comparer = Comparer.load()
    assert comparer.compare(packed[0].article(), packed[1].article()) == comparer.compare(one, other)


def test_equal_strings_are_kept_once() -> None:
    one = article("whole")
    title = "".join(list(one.subject.title))  # equal, another object
    assert Packed.of(one, title, "another key").title is title
    assert Packed.of(one, "another title", "another key").title == one.subject.title
