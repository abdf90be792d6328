"""Subscriptions at hubs: begun where a feed offers push, asked for, renewed, ended. The effects around `ingest.websub`.

Hubs are asked through the poller's turns and the fetcher's guard: their addresses come from documents. What they answer
later arrives at `callbacks`. Any process that polls may run one: the store decides who asks.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from secrets import token_urlsafe
from urllib.parse import urlsplit

from aggregator import urls
from aggregator.claims import Database
from aggregator.config import Config
from aggregator.daemon import Log
from aggregator.errors import AggregatorError
from aggregator.ingest import addresses, websub
from aggregator.ingest.fetch import Fetcher
from aggregator.ingest.websub import Offer, PushState, Subscription
from aggregator.metrics import Metrics
from aggregator.poller import Poller
from aggregator.store import Store
from aggregator.types import Answered, FeedState, Fetched, PollResult

_AT_A_TIME = 20  # hubs asked at a time
_SETTLED = 200  # feeds a beat whose subscriptions are put right: pushes are read in between
_COUNT_EVERY = timedelta(minutes=1)
_MISSES = 1000  # polls with missed pushes remembered until the next beat; more only delay the verdict
_PRIVATE_NAMES = (".local", ".internal", ".lan", ".home.arpa", ".localhost", ".test", ".example", ".invalid")


def obstacle(config: Config) -> str | None:
    """Why no hub could reach us, None if one may. Names are judged by their looks."""
    host = (urlsplit(config.site.public_url).hostname or "").rstrip(".")
    allowed = addresses.networks(tuple(str(network) for network in config.fetch.allow_networks))
    if addresses.is_local_host(host, allowed):
        return None
    kind = addresses.spelled_refusal(host, allowed)
    is_name = addresses.literal_address(host) is None
    if kind is None and is_name and ("." not in host or host.endswith(_PRIVATE_NAMES)):
        kind = "a name that is not public"
    return f"hubs cannot reach site.public_url ({config.site.public_url} is {kind})" if kind else None


class Subscriber:
    """Keeps the subscriptions as the configuration and the feeds want them. `tick` does what is due."""

    def __init__(
        self,
        store: Store,
        database: Database,
        poller: Poller,
        fetcher: Fetcher,
        metrics: Metrics,
        log: Log,
        now: Callable[[], datetime],
    ) -> None:
        self._store, self._database = store, database
        self._poller, self._fetcher = poller, fetcher
        self._metrics, self._log, self._now = metrics, log, now
        self._asking: set[asyncio.Task[None]] = set()
        self._unsettled: dict[int, Offer | None] = {}
        self._known: dict[int, Offer] = {}
        self._missed: list[PollResult] = []
        self._is_on = self._is_stale = False
        self._count_at = now()
        poller.commits.after_commit = self.after_commit

    def configure(self, config: Config) -> None:
        """Work by this configuration; every subscription is looked at again at the next beat."""
        hindrance = obstacle(config)
        self._is_on = config.websub.subscribe and hindrance is None
        self._callback = f"{config.site.public_url.rstrip('/')}/websub/"
        self._every = config.polling.every
        self._is_stale = True
        if config.websub.subscribe and hindrance:
            self._log.warning("push_off", reason=hindrance)

    def after_commit(self, result: PollResult) -> None:
        """Hear of a poll: what its document offers, and whether it found what a hub should have pushed."""
        state = result.state
        if not self._is_on or not isinstance(result.outcome, Fetched):
            return
        offered = Offer.from_json(state.memory.get("push"))
        if offered != self._known.get(state.feed_id):
            self._unsettled[state.feed_id] = offered
        if state.pushed_until is not None and result.changes.new and len(self._missed) < _MISSES:
            self._missed.append(result)

    async def tick(self) -> None:
        """Begin and end subscriptions, count misses, ask the hubs that are due."""
        if self._is_stale:
            self._is_stale = False
            try:
                await self._look_at_all()
            except Exception:
                self._is_stale = True
                raise
        for feed_id, offered in list(self._unsettled.items())[:_SETTLED]:
            await self._settle(feed_id, offered)
            if self._unsettled[feed_id] == offered:  # a poll may have found something else meanwhile
                del self._unsettled[feed_id]
        missed, self._missed = self._missed, []
        for result in missed:
            await self._count_miss(result)
        if self._now() >= self._count_at:
            self._count_at = self._now() + _COUNT_EVERY
            counts = await self._database(self._store.subscription_counts)
            for state in PushState:
                self._metrics.subscriptions.labels(state.value).set(counts.get(state.value, 0))
        if (room := _AT_A_TIME - len(self._asking)) > 0:
            for subscription in await self._database(self._store.subscriptions_to_ask, self._now(), room):
                task = asyncio.create_task(self._ask(subscription), name="hub")
                self._asking.add(task)
                task.add_done_callback(self._asked)

    async def stop(self) -> None:
        """Give up the questions under way; they are asked again."""
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)

    # ------------------------------------------------------------ what is wanted

    async def _look_at_all(self) -> None:
        subscriptions = await self._database(self._store.subscriptions)
        if not self._is_on and not subscriptions:
            return
        feeds: list[FeedState] = await self._database(self._store.feeds) if self._is_on else []
        heard = (
            (feed.feed_id, Offer.from_json(feed.memory.get("push"))) for feed in feeds if feed.health != "disabled"
        )
        offers = {feed_id: offered for feed_id, offered in heard if offered is not None}
        wanted = {feed_id: [(offered.hub_urls[0], offered.topic_url)] for feed_id, offered in offers.items()}
        there: dict[int, list[tuple[str, str]]] = defaultdict(list)
        for one in subscriptions:
            if one.state is not PushState.LEAVING:
                there[one.feed_id].append((one.hub_url, one.topic_url))
        self._known = offers
        for feed_id in wanted.keys() | there.keys():
            if wanted.get(feed_id, []) != there.get(feed_id, []):
                self._unsettled[feed_id] = offers.get(feed_id)
        await self._database(self._store.forget_left, self._now())

    async def _settle(self, feed_id: int, offered: Offer | None) -> None:
        """Have the one subscription that the feed offers, and no other."""
        now = self._now()
        there = await self._database(self._store.subscriptions_of, feed_id)
        for one in there:
            if offered is None or (one.hub_url, one.topic_url) != (offered.hub_urls[0], offered.topic_url):
                await self._change(one.token, lambda old: websub.leaving(old, now), now)
        self._known.pop(feed_id, None)
        if offered is not None:
            self._known[feed_id] = offered
            fresh = websub.begun(feed_id, offered, token_urlsafe(32), token_urlsafe(32), now)
            await self._database(self._store.begin_subscription, fresh)

    async def _count_miss(self, result: PollResult) -> None:
        now, new, before = self._now(), result.changes.new, result.last_success_at
        for one in await self._database(self._store.subscriptions_of, result.state.feed_id):
            if one.state is PushState.ACTIVE:
                polled_at = result.polled_at or now
                changed = await self._change(
                    one.token,
                    lambda old, at=polled_at: websub.after_poll(old, new, before, at),  # type: ignore[misc]
                    now,
                    polled_at + self._every,
                )
                if changed is not None and changed[1].trusted_until is None and changed[0].trusted_until is not None:
                    topic, hub = urls.for_log(one.topic_url), urls.for_log(one.hub_url)
                    self._log.warning("push_distrusted", topic=topic, hub=hub, misses=changed[1].misses)

    # ------------------------------------------------------------ asking

    def _asked(self, task: asyncio.Task[None]) -> None:
        self._asking.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # The hub is asked again: `asking` has said when before the question went out.
            trace = None if isinstance(error, AggregatorError) else error
            self._log.error("hub_question_failed", error=str(error) or repr(error), exc_info=trace)

    async def _ask(self, subscription: Subscription) -> None:
        now, token = self._now(), subscription.token

        def decide(old: Subscription) -> Subscription:
            old = websub.gives_up_leaving(websub.lapsed(old, now))
            is_due = old.ask_at is not None and old.ask_at <= now and old.state is not PushState.LEFT
            return websub.asking(old, now) if is_due else old

        changed = await self._change(token, decide, now)
        if changed is None or changed[1].asked_at != now:
            return  # another process was first, or there is nothing to ask
        question = changed[1]
        mode = "unsubscribe" if question.state is PushState.LEAVING else "subscribe"
        form = websub.form(question, self._callback + token)
        hub, proxy = question.hub_url, self._poller.proxy
        source = await self._database(self._store.source, question.feed_id)
        configured_url = source.url if source else ""
        answer = await self._poller.turns.ask(hub, lambda: self._fetcher.post(hub, form, proxy, configured_url))
        if answer is None:
            before = changed[0]
            await self._change(token, lambda old: websub.not_asked(old, before, now), now)
            return
        after = self._now()
        changed = await self._change(token, lambda old: websub.after_answer(old, answer, after), after)
        is_heard = isinstance(answer, Answered) and 200 <= answer.status < 300
        outcome = "accepted" if is_heard else "refused" if isinstance(answer, Answered) else "failed"
        self._metrics.hub_questions.labels(mode, outcome).inc()
        if not is_heard and changed is not None:
            self._log.warning(
                "hub_refuses",
                hub=urls.for_log(question.hub_url),
                topic=urls.for_log(question.topic_url),
                mode=mode,
                reason=changed[1].reason,
                next=changed[1].ask_at,
            )

    async def _change(
        self,
        token: str,
        decide: Callable[[Subscription], Subscription | None],
        now: datetime,
        due_at: datetime | None = None,
    ) -> tuple[Subscription, Subscription] | None:
        return await self._database(self._store.change_subscription, token, decide, now, due_at)
