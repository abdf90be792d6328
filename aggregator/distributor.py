"""The hub that we are ourselves, at work: asks callbacks whether a subscription is meant, brings subscribers the feeds
that changed. The effects around `publish.hub`; requests come in at the `reception`.

The process that edits runs it, no other. Callbacks are hostile: they are asked through the fetcher's guard of
addresses, followed nowhere, given little time, and wait in lanes, one request of a host at a time. What is to be done
is a query (`store.subscribers`), so a restart loses nothing.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime, timedelta
from hmac import compare_digest
from secrets import token_urlsafe
from typing import Any

from aggregator import urls
from aggregator.claims import Database
from aggregator.config import Config
from aggregator.config_secrets import revealed
from aggregator.daemon import Log
from aggregator.ingest import politeness
from aggregator.ingest.fetch import Fetcher
from aggregator.metrics import Metrics
from aggregator.publish import hub
from aggregator.publish.hub import Wanted
from aggregator.store import Delivery, HubRequest, Store
from aggregator.types import Answered, FailureReason, FetchFailed, Rendered

PATIENCE = 10.0  # seconds of a request to a callback
QUESTIONS, DELIVERIES = 4, 12  # hosts at a time
_OF_HOST = 20  # deliveries of one host in a row, then others have their turn
_LOOKED_AT = 200  # rows a beat
_TIDY = timedelta(minutes=1)
_MOST_REST = timedelta(hours=1)  # of a host whose callbacks keep saying no
_RESTING = 2000  # hosts remembered; what is forgotten is asked again
_NEVER = (FailureReason.ADDRESS, FailureReason.BAD_URL)


class Distributor:
    """Confirms, delivers, expires. `fetcher` is for callbacks alone, so that slow ones hold up nobody else; `topics`
    gives the documents that were published last, by URL."""

    def __init__(
        self,
        store: Store,
        database: Database,
        fetcher: Fetcher,
        metrics: Metrics,
        log: Log,
        now: Callable[[], datetime],
        topics: Callable[[], Mapping[str, Rendered]],
    ) -> None:
        self._store, self._database, self._fetcher = store, database, fetcher
        self._metrics, self._log, self._now, self._topics = metrics, log, now, topics
        self._asking: dict[str, asyncio.Task[None]] = {}  # by host
        self._bringing: dict[str, asyncio.Task[None]] = {}
        self._resting: dict[str, tuple[int, datetime]] = {}  # refusals in a row, until when it is not asked
        self._tidy_at = now()
        self.is_on = False

    def configure(self, config: Config) -> None:
        """Be a hub or none by this configuration. Subscriptions stay, for when it is turned on again."""
        self.is_on = config.websub.builtin_hub
        self._hub_url = hub.own_address(config.site.public_url)
        self._proxy = revealed(config.fetch.proxy)

    async def tick(self) -> None:
        """Begin what is due, as far as there is room."""
        if not self.is_on:
            return
        now = self._now()
        if now >= self._tidy_at:
            await self._tidy(now)
        if (room := QUESTIONS - len(self._asking)) > 0:
            resting = [host for host, (_, until) in self._resting.items() if until > now]
            requests = await self._database(
                self._store.due_hub_requests, now, _LOOKED_AT, (*self._asking, *self._bringing, *resting)
            )
            first = {request.host: request for request in reversed(requests)}  # one of each host
            for request in list(first.values())[:room]:
                self._begin(self._asking, request.host, self._confirm(request))
        if (room := DELIVERIES - len(self._bringing)) > 0:
            by_host: dict[str, list[Delivery]] = defaultdict(list)
            busy = (*self._asking, *self._bringing)
            for delivery in await self._database(self._store.due_deliveries, now, _LOOKED_AT, busy):
                by_host[delivery.host].append(delivery)
            for host in list(by_host)[:room]:
                self._begin(self._bringing, host, self._bring_all(by_host[host][:_OF_HOST]))

    async def wait(self) -> None:
        """Until what has begun is over."""
        while tasks := [*self._asking.values(), *self._bringing.values()]:
            await asyncio.gather(*tasks, return_exceptions=True)

    async def stop(self) -> None:
        """Give up what is under way; it is done again."""
        for task in (*self._asking.values(), *self._bringing.values()):
            task.cancel()
        await self.wait()

    def _begin(self, lanes: dict[str, asyncio.Task[None]], host: str, work: Coroutine[Any, Any, None]) -> None:
        lanes[host] = asyncio.create_task(work, name="hub")
        lanes[host].add_done_callback(lambda task: self._over(lanes, host, task))

    def _over(self, lanes: dict[str, asyncio.Task[None]], host: str, task: asyncio.Task[None]) -> None:
        lanes.pop(host, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("hub_failed", error=repr(error))  # what was not noted is due again

    async def _tidy(self, now: datetime) -> None:
        self._tidy_at = now + _TIDY
        ended = await self._database(self._store.expire_subscribers, now)
        subscribers, waiting = await self._database(self._store.hub_counts)
        self._metrics.hub_subscribers.labels("in_force").set(subscribers)
        self._metrics.hub_subscribers.labels("waiting").set(waiting)
        self._resting = {host: rest for host, rest in self._resting.items() if rest[1] + _MOST_REST > now}
        if ended:
            self._log.info("hub_leases_over", subscriptions=ended)

    # ------------------------------------------------------------ is it meant?

    async def _confirm(self, request: HubRequest) -> None:
        challenge = token_urlsafe(32)
        wanted = Wanted(request.mode, request.callback_url, request.topic_url, request.lease, request.secret)
        answer = await self._fetcher.ask(hub.question(wanted, challenge), self._proxy)
        now = self._now()
        if isinstance(answer, Answered) and 200 <= answer.status < 300 and _is_echo(answer.said, challenge):
            await self._database(self._store.confirm_hub_request, request, now)
            self._resting.pop(request.host, None)
            self._metrics.hub_verifications.labels("confirmed").inc()
            shown = _shown(request.callback_url, request.topic_url)
            self._log.info("hub_subscription", **shown, mode=request.mode, until=now + request.lease)
            return
        self._rest(request.host, now)
        is_down = answer.reason not in _NEVER if isinstance(answer, FetchFailed) else answer.status >= 500
        tries = request.tries + 1
        outcome = "failed" if is_down else "refused"
        self._metrics.hub_verifications.labels(outcome).inc()
        if is_down and tries < hub.CONFIRM_TRIES:
            again = now + hub.retry_after(tries)
            await self._database(self._store.put_off_hub_request, request, tries, again)
        else:
            await self._database(self._store.drop_hub_request, request)
            shown = _shown(request.callback_url, request.topic_url)
            self._log.info("hub_not_confirmed", **shown, mode=request.mode, reason=_said(answer))

    def _rest(self, host: str, now: datetime) -> None:
        """Whoever lets us ask somebody that wants nothing of it gets us to ask ever more rarely."""
        refusals = self._resting.pop(host, (0, now))[0] + 1
        self._resting[host] = refusals, now + min(timedelta(seconds=1 << min(refusals - 1, 12)), _MOST_REST)
        if len(self._resting) > _RESTING:
            del self._resting[next(iter(self._resting))]

    # ------------------------------------------------------------ deliveries

    async def _bring_all(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            if not await self._bring(delivery):
                return

    async def _bring(self, delivery: Delivery) -> bool:
        """Bring one; False where its host cannot be reached, so that the others wait too."""
        document = self._topics().get(delivery.topic_url)
        if document is None or document.etag != delivery.etag:
            return True  # printed anew at this moment, and noted in the next
        loop = asyncio.get_running_loop()
        # Off the loop: a megabyte takes a millisecond or two to sign, and there may be hundreds.
        headers = await loop.run_in_executor(
            None, hub.delivery_headers, document, self._hub_url, delivery.topic_url, delivery.secret
        )
        answer = await self._fetcher.bring(delivery.callback_url, document.body, headers, self._proxy)
        now = self._now()
        if isinstance(answer, Answered) and 200 <= answer.status < 300:
            self._metrics.hub_deliveries.labels("delivered").inc()
            await self._database(self._store.delivered, delivery, now + hub.TOLD_FOR)
            return True
        return await self._failed(delivery, answer, now)

    async def _failed(self, delivery: Delivery, answer: Answered | FetchFailed, now: datetime) -> bool:
        tries, is_reached = delivery.tries + 1, isinstance(answer, Answered)
        is_gone = (isinstance(answer, Answered) and answer.status == 410) or (
            isinstance(answer, FetchFailed) and answer.reason in _NEVER
        )
        if is_gone or tries >= hub.DELIVERY_TRIES:
            self._metrics.hub_deliveries.labels("gone" if is_gone else "given_up").inc()
            await self._database(self._store.drop_subscriber, delivery.callback_url, delivery.topic_url)
            shown = _shown(delivery.callback_url, delivery.topic_url)
            self._log.info("hub_subscriber_dropped", **shown, tries=tries, reason=_said(answer))
            return True
        self._metrics.hub_deliveries.labels("refused" if is_reached else "failed").inc()
        demand, wait = politeness.retry_after(answer.headers, now), hub.retry_after(tries)
        again = now + min(max(wait, demand.wait if demand else wait), hub.MAX_RETRY)
        await self._database(lambda: self._store.not_delivered(delivery, tries, again, of_host=not is_reached))
        return is_reached


def _is_echo(said: str, challenge: str) -> bool:
    return compare_digest(said.encode(), challenge.encode())


def _said(answer: Answered | FetchFailed) -> str:
    if isinstance(answer, FetchFailed):
        return f"{answer.reason}: {answer.detail}"
    return f"answers {answer.status}" + (" with another challenge" if 200 <= answer.status < 300 else "")


def _shown(callback_url: str, topic_url: str) -> dict[str, str]:
    """Without the callback's path: it is as good as a password to its owner."""
    return {"host": urls.host_key(callback_url), "topic": urls.for_log(topic_url)}
