"""What hubs ask and bring at our callbacks, `/websub/{token}`: an HTTP request comes in, an Answer goes out.

A push is answered once it is kept in the store, where whoever polls finds it (`pushes`); nothing is parsed
here. What nobody subscribed to costs one look by key, or a 503 where too many look at once. The rules: `ingest.websub`.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import datetime

from aggregator import urls
from aggregator.claims import Database
from aggregator.daemon import Log
from aggregator.ingest import websub
from aggregator.ingest.websub import PushState, Subscription
from aggregator.metrics import Metrics
from aggregator.publish.answers import SECURITY, Answer, plain
from aggregator.store import Store

LOOKS = 16  # at a time; a flood of guessed addresses gets 503 and leaves the store to readers
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_LATER = (("Retry-After", "30"),)


class Callbacks:
    """Answers hubs. Works in any process that serves the public listener: all it knows is in the store."""

    def __init__(
        self,
        store: Store,
        database: Database,
        metrics: Metrics,
        log: Log,
        now: Callable[[], datetime],
        *,
        max_body: Callable[[], int] = lambda: websub.MAX_PUSH,
    ) -> None:
        """`max_body` of a push in bytes, by the configuration of the moment."""
        self._store, self._database = store, database
        self._metrics, self._log, self._now = metrics, log, now
        self._max_body = max_body
        self._looking = 0

    async def asked(self, token: str, query: Mapping[str, str]) -> Answer:
        """The answer to a GET: the hub verifies what we want, or denies it (WebSub §5.2, §5.3)."""
        found = await self._look(token)
        # That we left may be asked again, of a hub that did not hear our answer.
        has_left = isinstance(found, Answer) and found.status == 410
        if isinstance(found, Answer) and not (has_left and query.get("hub.mode") == "unsubscribe"):
            return found
        now = self._now()
        if query.get("hub.mode") == "denied":
            changed = await self._change(token, lambda one: websub.denied(one, query, now), now)
            return plain(200, "noted") if changed is not None else plain(404, "no such subscription")
        changed = await self._change(token, lambda one: websub.verified(one, query, now), now)
        if changed is None:
            return plain(404, "this was not asked for")
        return Answer(200, (*SECURITY, *_ECHO), query["hub.challenge"].encode())

    async def expects(self, token: str) -> int | Answer:
        """How much a push may bring, or why none is read."""
        found = await self._look(token)
        return found if isinstance(found, Answer) else min(self._max_body(), websub.MAX_PUSH)

    async def brought(self, token: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """The answer to a push. What is not believed is answered as if it were, as the standard wants it (§7.1)."""
        found = await self._look(token)
        if isinstance(found, Answer):
            return found
        # Off the loop: 8 MiB of SHA-512 are 15 ms.
        loop, signature = asyncio.get_running_loop(), headers.get("X-Hub-Signature")
        is_signed = await loop.run_in_executor(None, websub.is_signed, found.secret, signature, body)
        links = {"link": headers.get("Link", "")}
        if not is_signed:
            return self._ignored(found, "forged", "not signed with our secret")
        if found.state is not PushState.ACTIVE:
            return self._ignored(found, "unwanted", f"the subscription is {found.state}")
        if not websub.is_of_topic(found, links):
            return self._ignored(found, "other_topic", "of another topic")
        if not body.strip():
            return self._ignored(found, "empty", "without a document")
        now, body_hash = self._now(), hashlib.blake2b(body, digest_size=12).hexdigest()
        kept = await self._database(
            self._store.put_push,
            token,
            lambda one: websub.after_push(one, body_hash, now) if one.state is PushState.ACTIVE else None,
            headers.get("Content-Type", "").encode("ascii", "replace").decode()[:200] or None,
            body,
            now,
        )
        if kept is False:
            self._metrics.pushes.labels("full").inc()
            return plain(503, "too much waits to be read", _LATER)
        if kept is None:
            return self._ignored(found, "repeat", "brought before")
        self._metrics.pushes.labels("kept").inc()
        return plain(202, "thank you")

    def _ignored(self, subscription: Subscription, result: str, why: str) -> Answer:
        self._metrics.pushes.labels(result).inc()
        self._log.debug("push_ignored", topic=urls.for_log(subscription.topic_url), why=why)
        return plain(202, "thank you")

    async def _look(self, token: str) -> Subscription | Answer:
        """The subscription of this callback, or 404, 410, 503."""
        if not _TOKEN.fullmatch(token):
            return plain(404, "no such subscription")
        if self._looking >= LOOKS:
            return plain(503, "too many ask at once", _LATER)
        self._looking += 1
        try:
            found = await asyncio.get_running_loop().run_in_executor(None, self._store.subscription, token)
        finally:
            self._looking -= 1
        if found is None:
            return plain(404, "no such subscription")
        return found if found.state is not PushState.LEFT else plain(410, "we have left")

    async def _change(
        self, token: str, decide: Callable[[Subscription], Subscription | None], now: datetime
    ) -> tuple[Subscription, Subscription] | None:
        changed = await self._database(self._store.change_subscription, token, decide, now)
        if changed is not None and changed[0].state is not changed[1].state:
            after = changed[1]
            self._log.info(
                "push_subscription",
                topic=urls.for_log(after.topic_url),
                hub=urls.for_log(after.hub_url),
                state=str(after.state),
                until=after.lease_until,
                reason=after.reason,
            )
        return changed


_ECHO = (("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store"))
