"""Content codings: the bytes of an answer as they come in, the document as it goes out, never more than a cap.

We ask for gzip alone and take gzip or nothing. aiohttp's own decoding is off because it hands over a stream that was
cut short as if it were whole, and has no ceiling. `fetch` feeds the chunks.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterator
from hashlib import blake2b

from aggregator.types import FailureReason

_GZIP = ("gzip", "x-gzip")  # RFC 9110 §8.4.1.3: the same
_PLAIN = ("", "identity")
_MAGIC = b"\x1f\x8b"
STEP = 64 * 1024  # bytes decoded at a time: under a millisecond, so that the event loop is never held up
_MAX_MEMBERS = 100  # RFC 1952 allows a file of several; each costs a fresh window, so a flood of empty ones is a bomb


class BodyError(Exception):
    """The body cannot be used; becomes a FetchFailed. `detail` is one line for a person."""

    def __init__(self, reason: FailureReason, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(detail)


class Body:
    """Collects one answer's body: `steps` for each chunk as it was sent, `whole` when there are no more."""

    def __init__(self, coding: str, cap: int) -> None:
        """`coding` is the Content-Encoding header ("": none); `cap` bounds sent and decoded bytes alike."""
        self._coding = coding.strip().lower()
        if self._coding not in _GZIP and self._coding not in _PLAIN:
            raise BodyError(FailureReason.CODING, f"content coding {self._coding[:40]!r} though we asked for gzip")
        self._cap = cap
        self.sent = 0  # bytes as they came
        self.size = 0  # bytes decoded
        self._parts: list[bytes] = []
        self._hash = blake2b(digest_size=16)
        self._members = 0
        self._gunzip: zlib._Decompress | None = None
        self._is_whole = True
        self._head = b""  # a first byte that came alone
        self._is_over = False

    def steps(self, chunk: bytes) -> Iterator[None]:
        """Take a chunk in, yielding now and then so that others may run: a small chunk can decode to very much."""
        self.sent += len(chunk)
        if self.sent > self._cap:
            raise BodyError(FailureReason.TOO_LARGE, f"larger than fetch.max_body ({self._cap} bytes)")
        if self._coding in _PLAIN:
            self._keep(chunk)
            yield
        elif not self._is_over:
            yield from self._inflate(chunk)

    def add(self, chunk: bytes) -> None:
        """`steps` at one go."""
        for _ in self.steps(chunk):
            pass

    def whole(self) -> bytes:
        """The decoded document. Raises BodyError(TRUNCATED) if a gzip stream has not come to its end."""
        if not self._is_whole or (self._coding in _GZIP and self.sent and not self._members):
            raise BodyError(FailureReason.TRUNCATED, f"gzip stream cut short after {self.sent} bytes")
        return self.so_far()

    def so_far(self) -> bytes:
        """What has been decoded, whole or not."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def digest(self) -> bytes:
        """Sixteen bytes of hash (BLAKE2b) over what has been decoded."""
        return self._hash.digest()

    def _keep(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self._cap:
            what = f"decodes to more than fetch.max_body ({self._cap} bytes) after {self.sent} sent"
            raise BodyError(FailureReason.TOO_LARGE, what)
        if data:
            self._parts.append(data)
            self._hash.update(data)

    def _inflate(self, chunk: bytes) -> Iterator[None]:
        data = self._head + chunk
        self._head = b""
        while data:
            if self._gunzip is None:
                if data == _MAGIC[:1]:
                    self._head, self._is_whole = data, self._members > 0
                    return
                if not self._begin(data):
                    return
            data = yield from self._one_member(data)

    def _begin(self, data: bytes) -> bool:
        """Open the next member; False where what follows the last one is padding, which every browser overlooks too."""
        if not data.startswith(_MAGIC):
            if self._members:
                self._is_over = True
                return False
            raise BodyError(FailureReason.CODING, "declared gzip, but is not")
        self._members += 1
        if self._members > _MAX_MEMBERS:
            raise BodyError(FailureReason.CODING, f"gzip of more than {_MAX_MEMBERS} members")
        self._gunzip = zlib.decompressobj(wbits=31)
        self._is_whole = False
        return True

    def _one_member(self, data: bytes) -> Generator[None, None, bytes]:
        """Decode as far as this member goes; returns the bytes after its end."""
        gunzip = self._gunzip
        assert gunzip is not None
        try:
            # zlib may have taken in all of `data` and still hold output back: a full piece means there may be more.
            is_full = True
            while (data or is_full) and not gunzip.eof:
                piece = gunzip.decompress(data, STEP)
                data, is_full = gunzip.unconsumed_tail, len(piece) == STEP
                self._keep(piece)
                yield
        except zlib.error as error:
            raise BodyError(FailureReason.CODING, f"gzip does not decode: {error}") from error
        if not gunzip.eof:
            return b""
        self._gunzip, self._is_whole = None, True
        return gunzip.unused_data
