"""Prometheus counters of the daemon, on a registry of their own. Labels are bounded: reasons, lanes, sections.

Pure stages do not count; `pipeline` does, at the edges.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily

# From "at once" to "a day late": what a reader of news feels.
_DELAYS = (1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 21600, 86400)
_PASSES = (0.005, 0.02, 0.05, 0.1, 0.3, 1, 3, 10, 30)
_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")


class AnswerTally:
    """HTTP answers by class of their status. A list, because thirty thousand answers a second may be counted: adding to
    it takes 0.1 µs, to a Counter with its lock 0.8."""

    def __init__(self) -> None:
        self._counts = [0] * len(_CLASSES)

    def count(self, status: int) -> None:
        """One answer; on the event loop alone, so that nobody else adds at the same time."""
        self._counts[status // 100 - 1] += 1

    def collect(self) -> Iterable[CounterMetricFamily]:
        """What a Prometheus registry asks of a collector."""
        family = CounterMetricFamily(
            "bmn_http_answers", "Answers of the public listener by class of status", labels=["status"]
        )
        for name, number in zip(_CLASSES, self._counts, strict=True):
            family.add_metric([name], number)
        yield family


class Metrics:
    """Every figure we give out; one object per process."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.polls = Counter("bmn_polls", "Polls by outcome", ["outcome"], registry=registry)
        self.failures = Counter("bmn_poll_failures", "Failed polls by reason", ["reason"], registry=registry)
        self.bytes_in = Counter("bmn_fetched_bytes", "Bytes of documents received, decoded", registry=registry)
        self.entries = Counter("bmn_entries", "Entries by what happened to them", ["change"], registry=registry)
        self.parses = Counter("bmn_parses", "Documents parsed, by lane", ["lane"], registry=registry)
        self.kills = Gauge(
            "bmn_parser_kills", "Parser processes killed over a document since the start", registry=registry
        )
        self.stories = Counter("bmn_stories", "New stories by section", ["section"], registry=registry)
        self.poll_seconds = Histogram("bmn_poll_seconds", "Time of one poll", buckets=_PASSES, registry=registry)
        self.lateness = Histogram(
            "bmn_poll_lateness_seconds", "How late after its due time a poll began", buckets=_DELAYS, registry=registry
        )
        self.group_seconds = Histogram(
            "bmn_group_seconds", "Time of one grouping pass", buckets=_PASSES, registry=registry
        )
        self.publish_seconds = Histogram(
            "bmn_publish_seconds", "Time of one publishing pass", buckets=_PASSES, registry=registry
        )
        self.freshness = Histogram(
            "bmn_freshness_seconds",
            "From the publisher's date to our seeing it (seen), and from there to our feeds (republished)",
            ["step"],
            buckets=_DELAYS,
            registry=registry,
        )
        self.loop_lag = Gauge(
            "bmn_loop_lag_seconds", "Worst delay of the event loop in the last minute", registry=registry
        )
        self.pushes = Counter("bmn_pushes", "Pushes of hubs by what became of them", ["result"], registry=registry)
        self.hub_questions = Counter(
            "bmn_hub_questions", "Questions to hubs by mode and outcome", ["mode", "outcome"], registry=registry
        )
        self.hub_pings = Counter(
            "bmn_hub_pings", "Hubs told that a feed of ours changed, by outcome", ["outcome"], registry=registry
        )
        self.hub_requests = Counter(
            "bmn_hub_requests", "Requests at our own hub by result", ["result"], registry=registry
        )
        self.hub_verifications = Counter(
            "bmn_hub_verifications", "Callbacks asked by our own hub, by outcome", ["outcome"], registry=registry
        )
        self.hub_deliveries = Counter(
            "bmn_hub_deliveries",
            "Feeds brought to subscribers of our own hub, by outcome",
            ["outcome"],
            registry=registry,
        )
        self.hub_subscribers = Gauge(
            "bmn_hub_subscribers", "Subscriptions at our own hub by state", ["state"], registry=registry
        )
        self.subscriptions = Gauge("bmn_subscriptions", "Subscriptions at hubs by state", ["state"], registry=registry)
        self.reloads = Counter("bmn_config_reloads", "Reloads of the configuration", ["result"], registry=registry)
        self.last_progress = Gauge(
            "bmn_last_progress_timestamp_seconds", "When a stage last made progress", ["stage"], registry=registry
        )

        ProcessCollector(registry=registry)  # memory, processor, open files
        self.answers = AnswerTally()
        registry.register(self.answers)
        self.store_answers = Gauge(
            "bmn_store_answers", "Whether the database answered when these figures were asked for", registry=registry
        )
        self.queue = Gauge("bmn_queue", "What waits, by queue", ["queue"], registry=registry)
        self.queue_age = Gauge(
            "bmn_queue_age_seconds", "How long the first of a queue has waited", ["queue"], registry=registry
        )
        self.sources = Gauge("bmn_sources", "Sources by health", ["health"], registry=registry)

    def show_waiting(self, queues: Mapping[str, tuple[int, float]], sources: Mapping[str, int]) -> None:
        """Set the gauges of what waits (number, seconds of the first) and of the sources' health."""
        for name, (number, age) in queues.items():
            self.queue.labels(name).set(number)
            self.queue_age.labels(name).set(age)
        for health, number in sources.items():
            self.sources.labels(health).set(number)

    def expose(self) -> bytes:
        """The text exposition format."""
        return generate_latest(self.registry)
