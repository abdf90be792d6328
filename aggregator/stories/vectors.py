"""Texts to vectors whose angle says how alike their meanings are; shared by grouping and sections.

In: plain texts. Out: float32 rows of length 1 (all zero for a text without a known token). A static table: every
word piece has one vector, a text is their sum (weights are in the table already). `train_vectors.py` makes the
table from a sentence model and documents how; `model/vectors.npz` is the result.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

MODEL_DIR = Path(__file__).parent / "model"
TABLE = MODEL_DIR / "vectors.npz"
MAX_CHARACTERS = 1200  # of a text: a title and the start of its summary; whole articles blur
MAX_WORD = 32  # longer "words" are addresses and noise
CACHE_WORDS = 40_000  # some 6 MB; news of three weeks has 60,000 distinct words, few of them often
CHUNK = 512  # texts summed at once: bounds the memory of the gathered rows

_HIGH = re.compile("[^\0-\u02ff]+")  # accents taken off their letters are among these (U+0300 is the first)
# Runs of letters and digits, or one other sign: each is looked up by itself.
_PIECES = re.compile(r"[^\W_]+|[^\w\s]|_")


def fold(text: str) -> str:
    """Lower case without accents, as the table's tokens are written."""
    decomposed = unicodedata.normalize("NFD", text.lower())
    if decomposed.isascii():
        return decomposed
    return _HIGH.sub(_without_marks, decomposed)


def _without_marks(run: re.Match[str]) -> str:
    return "".join(c for c in run[0] if unicodedata.category(c) != "Mn")


def pieces_of(folded: str) -> list[str]:
    """The words and single signs of a folded text, as they are looked up."""
    return _PIECES.findall(folded)


class WordPieces:
    """Splits words into the longest pieces a vocabulary knows; pieces inside a word are written `##piece`."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self.ids: Mapping[str, int] = {token: number for number, token in enumerate(tokens)}
        self._cache: dict[str, tuple[int, ...]] = {}

    def of_word(self, word: str) -> tuple[int, ...]:
        """The ids of one folded word, empty if any part of it is unknown."""
        known = self._cache.get(word)
        if known is None:
            known = self._split(word)
            if len(self._cache) >= CACHE_WORDS:
                self._cache.clear()
            self._cache[word] = known
        return known

    def of_text(self, text: str) -> list[int]:
        """The ids of a text in order."""
        found: list[int] = []
        for word in pieces_of(fold(text[:MAX_CHARACTERS])):
            found.extend(self.of_word(word))
        return found

    def _split(self, word: str) -> tuple[int, ...]:
        if len(word) > MAX_WORD:
            return ()
        pieces: list[int] = []
        start = 0
        while start < len(word):
            prefix = "##" if start else ""
            for end in range(len(word), start, -1):
                number = self.ids.get(prefix + word[start:end])
                if number is not None:
                    pieces.append(number)
                    start = end
                    break
            else:
                return ()
        return tuple(pieces)


class Vectors:
    """The table in memory: `rows` in eight bits a number (a fourth of the room), each row with its own scale. `encode`
    gives the same row for a text whatever stands beside it in the batch."""

    def __init__(self, tokens: Sequence[str], rows: NDArray[np.int8], scales: NDArray[np.float32]) -> None:
        self.pieces = WordPieces(tokens)
        self._rows, self._scales = rows, scales[:, None]

    @classmethod
    def load(cls, path: Path = TABLE) -> Self:
        """The shipped table. Raises OSError or ValueError where the file is missing or broken."""
        with np.load(path, allow_pickle=False) as stored:
            tokens = stored["tokens"].tobytes().decode("utf-8").split("\n")
            rows, scales = stored["rows"], stored["scales"].astype(np.float32)
        if not len(tokens) == len(rows) == len(scales):
            raise ValueError(f"{path}: {len(tokens)} tokens for {len(rows)} rows")
        return cls(tokens, rows, scales)

    @classmethod
    @lru_cache(maxsize=1)
    def shipped(cls) -> Self:
        """The shipped table, once in a process: it takes some 15 MB, and is safe to share between threads."""
        return cls.load()

    @property
    def width(self) -> int:
        """How many numbers a vector has."""
        return int(self._rows.shape[1])

    def of_pieces(self, ids: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of these pieces, a row each."""
        return self._rows[ids] * self._scales[ids]

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One unit row per text."""
        rows = np.zeros((len(texts), self.width), dtype=np.float32)
        for start in range(0, len(texts), CHUNK):
            self._sum(texts[start : start + CHUNK], rows[start : start + CHUNK])
        lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
        np.divide(rows, lengths, out=rows, where=lengths > 0)
        return rows

    def _sum(self, texts: Sequence[str], rows: NDArray[np.float32]) -> None:
        ids = [self.pieces.of_text(text) for text in texts]
        filled = [number for number, found in enumerate(ids) if found]
        if not filled:
            return
        flat = np.fromiter((i for found in ids for i in found), dtype=np.int64)
        lengths = np.array([len(ids[number]) for number in filled])
        starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
        rows[filled] = np.add.reduceat(self.of_pieces(flat), starts, axis=0)


def save(path: Path, tokens: Sequence[str], table: NDArray[np.float32]) -> None:
    """Write a table in eight bits a number, each row with its own scale."""
    scales = np.maximum(np.abs(table).max(axis=1), 1e-12) / 127
    rows = np.rint(table / scales[:, None]).astype(np.int8)
    blob = np.frombuffer("\n".join(tokens).encode("utf-8"), dtype=np.uint8)
    np.savez(path, tokens=blob, rows=rows, scales=scales.astype(np.float16))
