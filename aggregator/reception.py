"""What is asked of the hub that we are ourselves, `POST /hub`: a form comes in, an Answer goes out, a row stays.

Nothing is believed and nobody is asked here: that is the `distributor`'s, in the process that edits. Any process that
serves may answer. So many may subscribe and no more, in all and of one host, and so often may anybody ask: a hub that
did whatever it is told would be a weapon. The rules of a request: `publish.hub`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from aggregator import urls
from aggregator.claims import Database
from aggregator.config import Config
from aggregator.ingest import addresses
from aggregator.metrics import Metrics
from aggregator.publish import hub
from aggregator.publish.answers import Answer, plain
from aggregator.publish.hub import Unacceptable, Wanted
from aggregator.store import HubRequest, Room, Store
from aggregator.types import Rendered

# A reading service has one callback for each feed and format; ten thousand of our deliveries are half a gigabyte.
ROOM = Room(waiting=500, waiting_of_host=50, subscribers=2000, subscribers_of_host=200)
BURST, PER_SECOND = 60, 5  # requests; beyond them anybody is asked for patience
_AT_A_TIME = 8  # of them in the store's queue


class Reception:
    """Answers those who want to subscribe. `topics` gives the feeds that are served now, by URL."""

    def __init__(
        self,
        store: Store,
        database: Database,
        metrics: Metrics,
        now: Callable[[], datetime],
        topics: Callable[[], Mapping[str, Rendered]],
        room: Room = ROOM,
    ) -> None:
        self._store, self._database, self._metrics = store, database, metrics
        self._now, self._topics, self._room = now, topics, room
        self._left, self._left_at = float(BURST), now()
        self._waiting = 0
        self.is_open = False

    def configure(self, config: Config) -> None:
        """Be open or closed by this configuration."""
        self.is_open = config.websub.builtin_hub
        self._allowed = addresses.networks(tuple(str(network) for network in config.fetch.allow_networks))

    def expects(self) -> int | Answer:
        """How much a request may bring, or why none is read."""
        if not self.is_open:
            return plain(404, "there is nothing here")
        now = self._now()
        passed = max(now - self._left_at, timedelta(0)).total_seconds()
        self._left, self._left_at = min(self._left + passed * PER_SECOND, BURST), now
        if self._left < 1 or self._waiting >= _AT_A_TIME:
            return self._refused("busy", 503, "too many ask at once", "5")
        self._left -= 1
        return hub.MAX_FORM

    async def asked(self, content_type: str, body: bytes) -> Answer:
        """The answer to a request: 202 once its callback will be asked whether it is meant."""
        wanted = hub.read_request(content_type, body, self._topics())
        if isinstance(wanted, Unacceptable):
            return self._refused("unacceptable", wanted.status, wanted.why)
        kind = addresses.spelled_refusal(urlsplit(wanted.callback_url).hostname or "", self._allowed)
        if kind is not None:
            return self._refused("unacceptable", 403, f"hub.callback is {kind}: nothing is brought there")
        full = await self._put(wanted)
        if full == "host":
            return self._refused("full", 429, "too many subscriptions of that host wait or are in force", "600")
        if full == "hub":
            return self._refused("full", 503, "too many subscriptions wait or are in force", "600")
        self._metrics.hub_requests.labels("taken").inc()
        return plain(202, "your callback will be asked whether this is meant")

    async def _put(self, wanted: Wanted) -> str | None:
        host = host_of(wanted.callback_url)
        request = HubRequest(
            wanted.callback_url, wanted.topic_url, host, wanted.mode, wanted.secret, wanted.lease, self._now()
        )
        self._waiting += 1
        try:
            return await self._database(self._store.put_hub_request, request, self._room)
        finally:
            self._waiting -= 1

    def _refused(self, result: str, status: int, why: str, later: str = "") -> Answer:
        self._metrics.hub_requests.labels(result).inc()
        return plain(status, why, (("Retry-After", later),) if later else ())


def host_of(callback_url: str) -> str:
    """Whose patience a callback costs: its address where it spells one, else its registrable domain, as whoever owns
    that may make up any number of hosts and ports below it."""
    host = urlsplit(callback_url).hostname or ""
    address = addresses.literal_address(host)
    return str(address) if address is not None else urls.publisher_key(callback_url) or host
