"""Asks a site as `publish.serve` does, without a socket."""

from __future__ import annotations

import asyncio

from aggregator.publish.answers import Answer, Answerer


def ask(site: Answerer, target: str, method: str = "GET", **headers: str) -> Answer:
    """What is answered at once, else later. Headers are written `if_none_match` for If-None-Match."""
    sent = {_SPELT.get(name, name.replace("_", "-").title()): value for name, value in headers.items()}

    async def answered() -> Answer:
        return site.at_once(method, target, sent) or await site.later(method, target, sent)

    return asyncio.run(answered())


_SPELT = {"a_im": "A-IM"}


def header(answer: Answer, name: str) -> str | None:
    """The header's value, None without it; it may stand once."""
    values = [value for key, value in answer.headers if key == name]
    assert len(values) <= 1, f"{name} twice"
    return values[0] if values else None
