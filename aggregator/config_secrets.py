"""What may hold a secret: `${NAME}` and `${file:PATH}` filled in, kept in types that never show it.

Messages name the variable or the file, never what is in it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, SecretStr, ValidationInfo, WithJsonSchema

from aggregator import urls
from aggregator.config_values import Context, context_of, read_text, split

_REFERENCE = re.compile(r"(\$?)\$\{([^}]*)(\}?)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNSENDABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")  # in a header (RFC 9110 §5.5), or in UTF-8
_HIDDEN = "not:revealed"  # with a colon, as auth.basic needs one
MAX_SECRET_FILE = 64 << 10  # bytes; the longest tokens in use are 4 kB


class SecretUrl(SecretStr):
    """An address that may carry a password: shown without it."""

    def _display(self) -> str:
        return urls.for_log(self.get_secret_value())


def revealed(secret: SecretStr | None) -> str | None:
    """What is sent where the secret belongs; None where there is none."""
    return None if secret is None else secret.get_secret_value()


def expand(value: str, context: Context) -> str:
    """The text with `${NAME}` taken from the environment and `${file:PATH}` from a file, white space around it cut.

    `$${` stands for a literal `${`. ValueError where a secret is missing or cannot be read.
    """

    def replaced(match: re.Match[str]) -> str:
        if match[1]:
            return match[0][1:]
        if not match[3]:
            raise ValueError("'${' without '}', close it or write '$${' for the characters themselves")
        return _secret(match[2].strip(), context)

    return _REFERENCE.sub(replaced, value)


def _secret(reference: str, context: Context) -> str:
    if reference.startswith("file:"):
        return _secret_file(context.folder / reference[5:].strip())
    if not _NAME.fullmatch(reference):
        raise ValueError("'${…}' takes the name of an environment variable or file:PATH")
    found = context.env.get(reference)
    if found is None:
        raise ValueError(f"environment variable {reference} is not set, export it or use ${{file:PATH}}")
    return found


def _secret_file(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_SECRET_FILE + 1)
        if len(data) > MAX_SECRET_FILE:
            raise ValueError(f"{path} is larger than {MAX_SECRET_FILE >> 10} KiB, no secret is that long")
        return data.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise ValueError(f"{path} does not hold UTF-8 text") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None


def _read_secret(value: object, info: ValidationInfo) -> object:
    if isinstance(value, SecretStr):
        return value
    if not isinstance(value, str):
        raise ValueError("must be text, put it in quotes")
    if not context_of(info).reveal and "${" in value:
        return _HIDDEN
    secret = expand(value, context_of(info))
    if not secret:
        raise ValueError("is empty")
    if _UNSENDABLE.search(secret):
        raise ValueError("holds a line break or another character that cannot be sent")
    return secret


def _read_proxy(value: object, info: ValidationInfo) -> object:
    secret = _read_secret(value, info)
    if not isinstance(secret, str) or secret == _HIDDEN:
        return secret
    parts, port = split(secret)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
        raise ValueError("not a proxy, write http://host:port (user:password@ before the host where it asks for one)")
    if port is None:
        raise ValueError("the proxy's port is missing, write http://host:port")
    return secret


def _read_smtp(value: object, info: ValidationInfo) -> object:
    secret = _read_secret(value, info)
    if isinstance(secret, str) and secret != _HIDDEN:
        parts, _ = split(secret)
        if parts is None or parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise ValueError("not a mail server, write smtp://user:password@host:587 or smtps://…")
    return secret


_SECRET_SCHEMA = WithJsonSchema({"type": "string", "description": "${NAME} and ${file:PATH} take secrets"})
Secret = Annotated[SecretStr, BeforeValidator(_read_secret), _SECRET_SCHEMA]
Proxy = Annotated[SecretUrl, BeforeValidator(_read_proxy), _SECRET_SCHEMA]
Smtp = Annotated[SecretUrl, BeforeValidator(_read_smtp), _SECRET_SCHEMA]


def _read_database(value: object, info: ValidationInfo) -> str:
    """A SQLAlchemy URL; a SQLite file is made absolute, seen from the configuration's folder."""
    context = context_of(info)
    url = expand(read_text(value, "sqlite:///aggregator.db"), context)
    scheme, separator, rest = url.partition("://")
    if scheme == "sqlite" and separator:
        name = rest.removeprefix("/")
        if not rest.startswith("/") or name in ("", ":memory:") or "?" in name or "\0" in name:
            raise ValueError("names no file, write sqlite:///relative/path.db or sqlite:////absolute/path.db")
        return f"sqlite:///{os.path.abspath(context.folder / name)}"
    if scheme in ("postgres", "postgresql", "postgresql+psycopg2") and separator:
        raise ValueError("the driver is psycopg 3, write postgresql+psycopg://user@host/database")
    if scheme != "postgresql+psycopg" or not separator:
        raise ValueError("not a database, write sqlite:///FILE or postgresql+psycopg://user@host/database")
    parts, _ = split(url)
    if parts is None or not parts.path.strip("/") or any(character.isspace() for character in url):
        raise ValueError("names no database, write postgresql+psycopg://user@host/database")
    return url


DatabaseUrl = Annotated[str, BeforeValidator(_read_database)]
