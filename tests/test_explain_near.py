"""Why stories that are near each other are two, on SQLite and PostgreSQL; with the shipped models."""

from __future__ import annotations

from datetime import timedelta

import pytest
from builders import NOW
from test_corrector import Desk, page

from aggregator import explain, explain_near
from aggregator.config import Config
from aggregator.errors import NotFound
from aggregator.stories.compare import Comparer

BLAST = (
    "Explosion at Karvonia chemical plant kills twelve workers",
    "<p>A blast tore through the Dravec chemical plant outside Karvonia on Monday, killing twelve workers.</p>",
)
AGAIN = (
    "Twelve dead after blast at Karvonia chemical plant",
    "<p>Twelve workers were killed on Monday when an explosion ripped through the Dravec chemical plant.</p>",
)
PROFITS = ("Quillon Q1 profit rises to record", "Quillon Q2 profit rises to record")


@pytest.fixture
def desk(store):
    desk = Desk(store, {})
    desk.likes = Comparer.load()
    desk.restart()
    return desk


def tell(desk: Desk, outlet: str, title: str, summary: str = "<p>Said the company.</p>", **fields: object) -> str:
    """The address of the entry's page."""
    url = page(outlet, title.lower().replace(" ", "-"))
    desk.tell(outlet, title, title=title, summary=summary, link=url, guid=url, **fields)
    return url


def explained(desk: Desk, what: str) -> dict:
    found = explain.explain(desk.store, Config(), what, desk.now)
    assert found is not None
    return found


def test_a_veto_that_kept_two_stories_apart_is_named(desk):
    first, second = (tell(desk, outlet, title) for outlet, title in zip(("Anvil", "Beacon"), PROFITS, strict=True))
    (near,) = explained(desk, second)["near"]
    assert near["id"] == desk.of(first).ref
    assert near["apart"].startswith("veto: ")
    assert "quarter" in near["apart"]
    lines = list(explain.lines(explained(desk, second)))
    assert "near, and not the same" in lines
    assert any(near["apart"] in line for line in lines)


def test_two_addresses_side_by_side(desk):
    first, again, other = (
        tell(desk, "Anvil", *BLAST),
        tell(desk, "Beacon", *AGAIN),
        tell(desk, "Courier", "Central bank of Ostrania keeps its rates at four percent"),
    )
    one = explain_near.pair(desk.store, first, again)
    assert one["same"]
    assert any("common names" in reason for reason in one["together"][AGAIN[0]])
    assert "one story" in explain_near.pair_lines(one)
    two = explain_near.pair(desk.store, first, desk.of(other).ref)
    assert not two["same"]
    assert two["compared"]["apart"].startswith("not likely enough: ")
    with pytest.raises(NotFound):
        explain_near.pair(desk.store, first, "aaaaaaaaaa")


def test_what_people_split_says_so(desk):
    first, again = tell(desk, "Anvil", *BLAST), tell(desk, "Beacon", *AGAIN)
    desk.split(desk.of(first).ref)
    assert explain_near.pair(desk.store, first, again)["compared"]["apart"] == "split by hand"


def test_an_outlet_that_tells_both_is_named(desk):
    first, second = tell(desk, "Anvil", *BLAST), tell(desk, "Anvil", *AGAIN)
    compared = explain_near.pair(desk.store, first, second)["compared"]
    assert compared["apart"] == "veto: two articles of anvil.example"


def test_the_lead_is_accounted_for(desk):
    first = tell(desk, "Anvil", BLAST[0], f"<p>KARVONIA (Reuters) - {BLAST[1].removeprefix('<p>')}")
    tell(desk, "Beacon", *AGAIN)
    assert desk.now > NOW + timedelta(minutes=5)
    found = explained(desk, first)
    assert found["lead"]["source"] == "Anvil"
    assert "reprints an agency; seen first" in found["lead_reason"]
