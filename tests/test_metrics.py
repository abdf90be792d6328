"""What Prometheus is told: every figure has its home, and what waits is asked of the store when it is."""

from __future__ import annotations

from datetime import timedelta

from builders import NOW

from aggregator.errors import StoreError
from aggregator.metrics import Metrics
from aggregator.status import exposed
from aggregator.store.numbers import Waiting


class AStore:
    """A store that says what it was given."""

    def __init__(self, said: Waiting | StoreError) -> None:
        self._said = said

    def waiting(self, now: object) -> Waiting:
        if isinstance(self._said, StoreError):
            raise self._said
        return self._said


def test_answers_are_counted_by_class_of_status():
    metrics = Metrics()
    for status in (200, 206, 304, 404, 410, 429, 500):
        metrics.answers.count(status)
    lines = metrics.expose().decode().splitlines()
    assert [line for line in lines if line.startswith("bmn_http_answers_total")] == [
        'bmn_http_answers_total{status="1xx"} 0.0',
        'bmn_http_answers_total{status="2xx"} 2.0',
        'bmn_http_answers_total{status="3xx"} 1.0',
        'bmn_http_answers_total{status="4xx"} 3.0',
        'bmn_http_answers_total{status="5xx"} 1.0',
    ]


def test_what_waits_is_shown_with_its_age_and_sources_by_health():
    queues = {"due": (3, NOW - timedelta(seconds=90)), "ungrouped": (0, None)}
    said = exposed(Metrics(), AStore(Waiting(queues, {"ok": 5, "failing": 2})), NOW).decode()
    assert 'bmn_queue{queue="due"} 3.0' in said
    assert 'bmn_queue_age_seconds{queue="due"} 90.0' in said
    assert 'bmn_queue_age_seconds{queue="ungrouped"} 0.0' in said
    assert 'bmn_sources{health="failing"} 2.0' in said
    assert 'bmn_sources{health="gone"} 0.0' in said, "a state that nobody is in any more must not keep its last number"
    assert "bmn_store_answers 1.0" in said


def test_without_a_database_the_other_figures_are_there():
    said = exposed(Metrics(), AStore(StoreError("out of reach")), NOW).decode()
    assert "bmn_store_answers 0.0" in said
    assert "bmn_loop_lag_seconds" in said
