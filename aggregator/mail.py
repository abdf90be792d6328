"""One letter out over SMTP (RFC 5321). The only module that speaks it; blocks, so call it on a thread."""

from __future__ import annotations

import re
import smtplib
import ssl
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from aggregator.errors import AggregatorError

_DOT = re.compile(rb"^\.", re.MULTILINE)  # RFC 5321 §4.5.2
TIMEOUT = 30.0  # seconds without an answer


class MailDelayed(AggregatorError):
    """The letter did not go out and may later: the server is away, busy, or says 4xx."""


class MailRefused(AggregatorError):
    """The server will not take this letter, now or later: 5xx, or an address that SMTP cannot say."""


class MailUnknown(AggregatorError):
    """The letter was handed over and the answer never came: it may or may not have gone out."""


def send(server: str, message: EmailMessage, timeout: float = TIMEOUT) -> None:
    """Hand the message to `smtp://user:password@host:587` or `smtps://…`.

    TLS is verified, and used wherever the server offers it; a password never goes over a line without it, but to this
    machine. Raises MailDelayed, MailRefused, or MailUnknown where it was all said and not answered.
    """
    parts = urlsplit(server)
    host, is_tls = parts.hostname or "", parts.scheme == "smtps"
    context = ssl.create_default_context()
    session: smtplib.SMTP
    try:
        if is_tls:
            session = smtplib.SMTP_SSL(host, parts.port or 465, timeout=timeout, context=context)
        else:
            session = smtplib.SMTP(host, parts.port or 587, timeout=timeout)
    except (OSError, smtplib.SMTPException) as error:
        raise MailDelayed(f"{host}: {_said(error)}") from error
    try:
        _introduced(session, parts.username, parts.password, is_tls, context, host)
        _handed_over(session, message, host)
    finally:
        session.close()


def _introduced(
    session: smtplib.SMTP, user: str | None, password: str | None, is_tls: bool, context: ssl.SSLContext, host: str
) -> None:
    try:
        session.ehlo()
        if not is_tls and session.has_extn("starttls"):
            session.starttls(context=context)
            session.ehlo()
            is_tls = True
        if user:
            if not is_tls and host not in ("localhost", "127.0.0.1", "::1"):
                raise MailRefused(f"{host}: offers no TLS, the password stays here (use smtps:// or another server)")
            session.login(unquote(user), unquote(password or ""))
    except smtplib.SMTPAuthenticationError as error:
        raise MailDelayed(f"{host}: does not accept digest.smtp's user and password ({_said(error)})") from error
    except (OSError, smtplib.SMTPException) as error:
        raise MailDelayed(f"{host}: {_said(error)}") from error


def _handed_over(session: smtplib.SMTP, message: EmailMessage, host: str) -> None:
    sender, recipient = _address(message, "From"), _address(message, "To")
    try:
        _check(*session.mail(sender), host)
        _check(*session.rcpt(recipient), host)
        code, said = session.docmd("DATA")
    except (OSError, smtplib.SMTPException) as error:
        raise MailDelayed(f"{host}: {_said(error)}") from error
    if code != 354:
        _check(max(code, 400), said, host)
    # Not `session.data`: it does not say whether the server went away before or after it had the whole letter.
    body = _DOT.sub(b"..", message.as_bytes())
    try:
        session.send(body + (b"" if body.endswith(b"\r\n") else b"\r\n") + b".\r\n")
        code, said = session.getreply()
    except (OSError, smtplib.SMTPException) as error:
        raise MailUnknown(f"{host}: {_said(error)}") from error
    _check(code, said, host)


def _address(message: EmailMessage, field: str) -> str:
    addresses = message[field].addresses
    address: str = addresses[0].addr_spec if addresses else ""
    if "@" not in address or not address.isascii():
        raise MailRefused(f"{field}: {message[field]} is no address that can be written to")
    return address


def _check(code: int, said: bytes | str, host: str) -> None:
    if code < 300:
        return
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    kind = MailRefused if code >= 500 else MailDelayed
    raise kind(f"{host}: {code} {' '.join(text.split())[:200]}")


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
