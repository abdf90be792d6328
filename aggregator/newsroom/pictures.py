"""Pictures for invented stories: a skyline under a sun, as PNG bytes, the same for the same name."""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache
from random import Random

WIDTH, HEIGHT = 480, 270  # pixels
_SKIES = (
    ((250, 214, 165), (226, 125, 96)),
    ((188, 224, 238), (92, 139, 196)),
    ((222, 206, 240), (125, 98, 168)),
    ((205, 232, 200), (86, 150, 116)),
)
_BANDS = 16


@lru_cache(maxsize=256)
def skyline(name: str) -> bytes:
    """A PNG of WIDTH × HEIGHT, palette of 20 colours, a few kilobytes (PNG specification, colour type 3)."""
    rng = Random(f"picture {name}")
    top, bottom = rng.choice(_SKIES)
    palette = [_mix(top, bottom, band / (_BANDS - 1)) for band in range(_BANDS)]
    sun, house, near, window = 16, 17, 18, 19
    palette += [(255, 244, 214), _mix(bottom, (30, 34, 50), 0.55), (34, 38, 54), (255, 214, 120)]

    rows = [bytearray([y * _BANDS // HEIGHT]) * WIDTH for y in range(HEIGHT)]
    _disc(rows, rng.randrange(60, WIDTH - 60), rng.randrange(50, 130), rng.randrange(22, 44), sun)
    for colour, tallest in ((house, 170), (near, 110)):
        x = -rng.randrange(30)
        while x < WIDTH:
            width = rng.randrange(28, 70)
            height = rng.randrange(tallest // 3, tallest)
            _block(rows, x, HEIGHT - height, width, height, colour)
            if colour == near:
                _windows(rows, rng, x, HEIGHT - height, width, window)
            x += width + rng.randrange(-6, 12)
    return _png(rows, palette)


def _mix(a: tuple[int, int, int], b: tuple[int, int, int], share: float) -> tuple[int, int, int]:
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


def _block(rows: list[bytearray], x: int, y: int, width: int, height: int, colour: int) -> None:
    left, right = max(x, 0), min(x + width, WIDTH)
    if left >= right:
        return
    for row in rows[max(y, 0) : y + height]:
        row[left:right] = bytes([colour]) * (right - left)


def _disc(rows: list[bytearray], x: int, y: int, radius: int, colour: int) -> None:
    for dy in range(-radius, radius + 1):
        half = int((radius * radius - dy * dy) ** 0.5)
        _block(rows, x - half, y + dy, 2 * half, 1, colour)


def _windows(rows: list[bytearray], rng: Random, x: int, y: int, width: int, colour: int) -> None:
    for top in range(y + 8, HEIGHT - 10, 16):
        for left in range(x + 6, x + width - 8, 12):
            if rng.random() < 0.4:
                _block(rows, left, top, 5, 7, colour)


def _png(rows: list[bytearray], palette: list[tuple[int, int, int]]) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 3, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    colours = b"".join(bytes(colour) for colour in palette)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"PLTE", colours)
        + chunk(b"IDAT", pixels)
        + chunk(b"IEND", b"")
    )
