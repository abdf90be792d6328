"""What the section model learnt from an operator's corrections: a small linear head beside the shipped one.

In: the texts of a story. Out: scores to add to the logarithms of what the shipped model says. The head sees the vectors
of title and text, and the words that corrections spoke of. `learn` fits it.
"""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from aggregator.stories import features
from aggregator.stories.sections import PARAMETERS
from aggregator.stories.vectors import Vectors
from aggregator.types import LABELS

Floats = NDArray[np.float32]
Texts = Sequence[tuple[str, str]]


class HeadError(ValueError):
    """Parameters that do not belong to this model, or are none."""


@dataclass(frozen=True, slots=True)
class Head:
    """`base` names the shipped parameters it was fitted on; `words` the rows of `on_words` (n by labels); `on_meaning`
    has a row for each number of the two vectors; `version` is the store's number, 0 for one that is not stored."""

    base: str
    words: Mapping[str, int]
    on_words: Floats
    on_meaning: Floats
    bias: Floats
    version: int = 0

    def scores(self, texts: Texts, vectors: Vectors) -> Floats:
        """What to add to the log probabilities of the labels, averaged over the texts."""
        seen = features_of(texts, vectors, self.words)
        width = len(self.on_words)
        added: Floats = seen[:width] @ self.on_words + seen[width:] @ self.on_meaning + self.bias
        return added

    def dump(self) -> bytes:
        """The parameters as the store keeps them."""
        out = io.BytesIO()
        np.savez_compressed(
            out,
            base=np.frombuffer(self.base.encode(), dtype=np.uint8),
            words=np.frombuffer("\n".join(self.words).encode(), dtype=np.uint8),
            on_words=self.on_words.astype(np.float16),
            on_meaning=self.on_meaning.astype(np.float16),
            bias=self.bias.astype(np.float32),
        )
        return out.getvalue()

    @classmethod
    def load(cls, parameters: bytes, version: int = 0) -> Self:
        """The head that `dump` wrote. HeadError where it was fitted on other shipped parameters, or is damaged."""
        try:
            with np.load(io.BytesIO(parameters), allow_pickle=False) as stored:
                base = stored["base"].tobytes().decode()
                blob = stored["words"].tobytes().decode()
                on_words, on_meaning, bias = (
                    stored[name].astype(np.float32) for name in ("on_words", "on_meaning", "bias")
                )
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise HeadError(f"the parameters are damaged: {error}") from error
        words = {word: number for number, word in enumerate(blob.split("\n") if blob else ())}
        if base != base_name():
            raise HeadError("they were fitted on the section model of another version: run 'bmn train --corrections'")
        if len(words) != len(on_words) or any(each.shape[-1] != len(LABELS) for each in (on_words, on_meaning, bias)):
            raise HeadError("the parameters do not fit together")
        return cls(base, words, on_words, on_meaning, bias, version)


def base_name() -> str:
    """A name of the shipped parameters: a head means something beside these alone."""
    return hashlib.blake2b(PARAMETERS.read_bytes(), digest_size=8).hexdigest()


def features_of(texts: Texts, vectors: Vectors, words: Mapping[str, int]) -> Floats:
    """One row: the weights of these words (of length 1 for each text), then both vectors; averaged over the texts."""
    bags = np.zeros((len(texts), len(words)), dtype=np.float32)
    for row, (title, summary) in zip(bags, texts, strict=True):
        weights = features.word_weights(title, summary)
        length = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
        for word, weight in weights.items():
            if (number := words.get(word)) is not None:
                row[number] = weight / length
    titles = vectors.encode([title for title, _ in texts])
    full = vectors.encode([features.full_text(title, summary) for title, summary in texts])
    averaged: Floats = np.hstack((bags, titles, full)).mean(axis=0).astype(np.float32)
    return averaged
