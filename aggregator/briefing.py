"""Briefings: made when their time comes, kept, and sent by e-mail once to each address. The effects around
`publish.digest`.

A letter is marked before it is sent and again after. Where a process dies in between, or the server's last answer is
lost, nobody can know whether it arrived; it is not sent again, as a briefing missed is better than one read twice, and
the log says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from hashlib import blake2b
from html import escape
from urllib.parse import unquote, urlsplit

from aggregator import mail
from aggregator.claims import Database
from aggregator.config import Config
from aggregator.daemon import Log
from aggregator.publish import digest as digests
from aggregator.publish.digest import Digest
from aggregator.publish.settings import SiteSettings
from aggregator.store import KeptDigest, Letter, Store
from aggregator.types import SECTIONS

_RETRIES = tuple(timedelta(minutes=minutes) for minutes in (5, 15, 45, 120, 180))  # then the morning is over
_STORIES = 100  # looked at for a section of a briefing: those that most sources tell
_ADDRESS = re.compile(r"[^\s@<>()\[\],;:\\\"]+@[A-Za-z0-9][A-Za-z0-9.-]*")


class Briefing:
    """Makes and sends digests. `send` is `mail.send`, or what stands in for it."""

    def __init__(
        self,
        store: Store,
        database: Database,
        log: Log,
        now: Callable[[], datetime],
        send: Callable[[str, EmailMessage], None] = mail.send,
    ) -> None:
        self._store, self._database, self._log, self._now, self._send = store, database, log, now, send
        self._has_looked = False

    def configure(self, config: Config) -> None:
        """Make and send by this configuration from now on."""
        self._config = config.digest
        self._site = SiteSettings(
            config.site.title, config.site.public_url, config.site.timezone, self._store.installation_id()
        )
        self._sender = sender_of(config)

    async def make_due(self) -> int:
        """Make the digests whose time has come; how many."""
        made = 0
        for kind in digests.KINDS:
            now = self._now()
            day = digests.due(kind, self._config.at, self._site.zone, now)
            if day is not None and await self._database(self._make, kind, day, now):
                self._log.info("digest", kind=kind, day=day, letters=len(self._config.to))
                made += 1
        return made

    def _make(self, kind: str, day: str, now: datetime) -> bool:
        before = self._store.latest_digests(kind, 1)
        if before and before[0].day == day:
            return False
        since = now - digests.SPAN[kind]
        if before:  # nothing falls between two briefings, and none repeats much of a week that was lost
            since = max(before[0].made_at, since - digests.SPAN[kind])
        # By when readers could see them: what was published before a briefing and found after it belongs to the next.
        oldest = since - digests.SPAN[kind]
        stories = [
            story
            for section in SECTIONS
            for story in self._store.most_told(section, _STORIES, oldest=oldest, shown_since=since, shown_until=now)
        ]
        made = digests.composed(kind, day, since, now, stories, self._site)
        return self._store.save_digest(
            KeptDigest(kind, day, since, now, digests.to_json(made)), self._config.to if self._config.smtp else ()
        )

    async def send_waiting(self) -> int:
        """Send every letter whose time has come, one after the other; how many went out."""
        if not self._has_looked:
            self._has_looked = True
            for lost in await self._database(self._store.unsettled_letters):
                self._log.warning("digest_unknown", day=lost.day, to=lost.recipient, why="stopped while sending")
                await self._database(self._store.settle_letter, lost, "unknown")
        if self._config.smtp is None:
            return 0
        server, sent = self._config.smtp.get_secret_value(), 0
        while True:
            letter: Letter | None = await self._database(self._store.take_letter, self._now())
            if letter is None:
                return sent
            sent += await self._sent(server, letter)

    async def _sent(self, server: str, letter: Letter) -> bool:
        kept = await self._database(self._store.digest, letter.day)
        if kept is None:
            await self._database(self._store.settle_letter, letter, "refused")
            return False
        message = message_of(read(kept), letter.recipient, self._sender, self._site)
        try:
            await _aside(self._send, server, message)
        except mail.MailDelayed as error:
            await self._delay(letter, str(error))
            return False
        except mail.MailRefused as error:
            self._log.error("digest_refused", day=letter.day, to=letter.recipient, error=str(error))
            await self._database(self._store.settle_letter, letter, "refused")
            return False
        except mail.MailUnknown as error:
            self._log.warning("digest_unknown", day=letter.day, to=letter.recipient, why=str(error))
            await self._database(self._store.settle_letter, letter, "unknown")
            return False
        await self._database(self._store.settle_letter, letter, "sent")
        self._log.info("digest_sent", day=letter.day, to=letter.recipient)
        return True

    async def _delay(self, letter: Letter, why: str) -> None:
        if letter.tries >= len(_RETRIES):
            self._log.error("digest_refused", day=letter.day, to=letter.recipient, error=f"given up: {why}")
            await self._database(self._store.settle_letter, letter, "refused")
            return
        again = self._now() + _RETRIES[letter.tries]
        self._log.warning("digest_delayed", day=letter.day, to=letter.recipient, error=why, next=again)
        await self._database(self._store.settle_letter, letter, "waiting", again)


async def _aside(call: Callable[[str, EmailMessage], None], server: str, message: EmailMessage) -> None:
    """Make the call on a thread that nobody waits for at the end: a mail server that says nothing must not keep us from
    stopping, as a pool's thread would."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if outcome.done():
            return
        if error is None:
            outcome.set_result(None)
        else:
            outcome.set_exception(error)

    def work() -> None:
        error: BaseException | None = None
        try:
            call(server, message)
        except BaseException as raised:
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=work, name="mail", daemon=True).start()
    await outcome


def read(kept: KeptDigest) -> Digest:
    """The digest as a value."""
    return digests.from_json(kept.kind, kept.day, kept.since, kept.made_at, kept.content)


def sender_of(config: Config) -> str:
    """Whom a letter is from: the contact where that is an address, else the mail server's user, else bmn@ our host."""
    contact = config.fetch.contact.removeprefix("mailto:")
    user = urlsplit(config.digest.smtp.get_secret_value()).username if config.digest.smtp else None
    for address in (contact, unquote(user or "")):
        if _ADDRESS.fullmatch(address):
            return address
    return f"bmn@{urlsplit(config.site.public_url).hostname or 'localhost'}"


def message_of(digest: Digest, recipient: str, sender: str, site: SiteSettings) -> EmailMessage:
    """The letter: plain text, and the same as HTML. Its Message-ID follows from digest and address, so that a mailbox
    which is handed it twice can tell."""
    message = EmailMessage(policy=SMTP)
    host = urlsplit(site.public_url).hostname or "localhost"
    unique = blake2b(f"{site.installation} {digest.day} {recipient}".encode(), digest_size=12).hexdigest()
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = digests.title_of(digest, site)
    message["Date"] = format_datetime(digest.made_at)
    message["Message-ID"] = f"<digest.{digest.day}.{unique}@{host}>"
    message["Auto-Submitted"] = "auto-generated"  # so that no vacation notice answers (RFC 3834)
    message.set_content(digests.as_text(digest, site))
    title = escape(digests.title_of(digest, site))
    message.add_alternative(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>'
        f"<body><h1>{title}</h1>\n{digests.as_html(digest)}</body></html>",
        subtype="html",
    )
    return message
