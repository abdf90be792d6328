"""The trained section model: texts in, probabilities over the five labels out, each traceable to words.

Three models see the same text as words and pairs, as letter groups, and as vectors; their scores are averaged and
scaled by one temperature. The first two are linear, the third is a small network that is linear around every text: so
every word's share in the scores is exact. `train.py` makes `model/sections.npz`; `classify` turns probabilities into
verdicts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from aggregator.stories import features
from aggregator.stories.vectors import MAX_CHARACTERS, MODEL_DIR, Vectors
from aggregator.types import LABELS

PARAMETERS = MODEL_DIR / "sections.npz"
CACHED_WORDS = 40_000  # some 12 MB
MODELS = 3  # words, letters, vectors: their scores are averaged

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TermModel:
    """One bag-of-terms model: `ids` names the rows of `idf` (n) and `weights` (n by labels)."""

    ids: Mapping[str, int]
    idf: Floats
    weights: Floats
    bias: Floats


@dataclass(frozen=True, slots=True)
class VectorModel:
    """A network with one layer of rectified units on the vectors of the title (first half of the inputs) and of the
    full text (second half): `hidden` is inputs by units, `weights` units by labels."""

    hidden: Floats
    hidden_bias: Floats
    weights: Floats
    bias: Floats

    def scores(self, inputs: Floats) -> Floats:
        """One row over LABELS per row of inputs."""
        units: Floats = inputs @ self.hidden
        units += self.hidden_bias
        np.maximum(units, 0, out=units)
        scores: Floats = units @ self.weights
        scores += self.bias
        return scores

    def around(self, inputs: Floats, label: int, other: int) -> tuple[Floats, float]:
        """The weights and the bias of the linear function that the network is at this one text, for the lead of one
        label over another."""
        is_active = inputs @ self.hidden + self.hidden_bias > 0
        leads = np.where(is_active, self.weights[:, label] - self.weights[:, other], 0)
        weights: Floats = self.hidden @ leads
        return weights, float(self.hidden_bias @ leads + self.bias[label] - self.bias[other])


class SectionModel:
    """The three models and the temperature. `scores` are log-odds-like sums; `probabilities` rows sum to 1."""

    def __init__(
        self, words: TermModel, letters: TermModel, meaning: VectorModel, vectors: Vectors, temperature: float
    ) -> None:
        self.words = words
        self.letters = letters
        self.meaning = meaning
        self.vectors = vectors
        self.temperature = temperature
        self._spelled: dict[str, tuple[Floats, float]] = {}

    @classmethod
    def load(cls, vectors: Vectors, path: Path = PARAMETERS) -> Self:
        """The shipped model. Raises OSError or ValueError where the file is missing or broken."""
        with np.load(path, allow_pickle=False) as stored:
            return cls(
                _term_model(stored, "words"),
                _term_model(stored, "letters"),
                _vector_model(stored),
                vectors,
                float(stored["temperature"]),
            )

    def probabilities(self, titles: Sequence[str], summaries: Sequence[str]) -> Floats:
        """One row over LABELS per text."""
        return softmax(self.scores(titles, summaries))

    def scores(self, titles: Sequence[str], summaries: Sequence[str]) -> Floats:
        """The averaged scores before softmax, temperature applied."""
        rows = self._meaning_scores(titles, summaries)
        for row, title, summary in zip(rows, titles, summaries, strict=True):
            row += self._term_scores(title, summary)
            row += self._letter_scores(title, summary)
        rows /= MODELS * self.temperature
        return rows

    def shares(self, title: str, summary: str, label: int, other: int) -> dict[str, float]:
        """Every word's part in the lead of one label's score over another's, pairs of words under their own name. What
        is left is the biases'. For two labels alone: it is asked for with every verdict."""
        parts: dict[str, float] = {}
        scale = 1 / (MODELS * self.temperature)
        for name, value in (
            *self._term_shares(title, summary, label, other),
            *self._letter_shares(title, summary, label, other),
            *self._meaning_shares(title, summary, label, other),
        ):
            parts[name] = parts.get(name, 0.0) + value * scale
        return parts

    # ------------------------------------------------ words and pairs

    def _term_values(self, title: str, summary: str) -> tuple[list[int], list[str], Floats]:
        ids: list[int] = []
        names: list[str] = []
        values: list[float] = []
        known = self.words.ids
        for term, weight in features.term_weights(title, summary).items():
            number = known.get(term)
            if number is not None:
                ids.append(number)
                names.append(term)
                values.append(weight)
        array = np.array(values, dtype=np.float32)
        if ids:
            array *= self.words.idf[ids]
            array /= math.sqrt(float(array @ array))
        return ids, names, array

    def _term_scores(self, title: str, summary: str) -> Floats:
        ids, _, values = self._term_values(title, summary)
        if not ids:
            return self.words.bias.copy()
        return values @ self.words.weights[ids] + self.words.bias

    def _term_shares(self, title: str, summary: str, label: int, other: int) -> list[tuple[str, float]]:
        ids, names, values = self._term_values(title, summary)
        if not ids:
            return []
        weights = self.words.weights[ids]
        return list(zip(names, ((weights[:, label] - weights[:, other]) * values).tolist(), strict=True))

    # ------------------------------------------------ letter groups

    def _spelling(self, word: str) -> tuple[Floats, float]:
        """A word's unscaled scores by its letter groups, and the square of its length in that space."""
        found = self._spelled.get(word)
        if found is None:
            ids = [n for n in map(self.letters.ids.get, features.grams(word)) if n is not None]
            idf = self.letters.idf[ids]
            found = (idf @ self.letters.weights[ids], float(idf @ idf))
            if len(self._spelled) >= CACHED_WORDS:
                self._spelled.clear()
            self._spelled[word] = found
        return found

    def _letter_scores(self, title: str, summary: str) -> Floats:
        total = np.zeros(len(LABELS), dtype=np.float32)
        square = 0.0
        for word, weight in features.word_weights(title, summary).items():
            scores, length = self._spelling(word)
            total += scores * weight
            square += length * weight * weight
        return total / math.sqrt(square) + self.letters.bias if square else self.letters.bias.copy()

    def _letter_shares(self, title: str, summary: str, label: int, other: int) -> list[tuple[str, float]]:
        weighed = features.word_weights(title, summary)
        spelled = [(word, weight, *self._spelling(word)) for word, weight in weighed.items()]
        square = sum(length * weight * weight for _, weight, _, length in spelled)
        if not square:
            return []
        scale = 1 / math.sqrt(square)
        return [(word, float(s[label] - s[other]) * weight * scale) for word, weight, s, _ in spelled]

    # ------------------------------------------------ vectors

    def _meaning_scores(self, titles: Sequence[str], summaries: Sequence[str]) -> Floats:
        return self.meaning.scores(meaning_inputs(self.vectors, titles, summaries))

    def _meaning_shares(self, title: str, summary: str, label: int, other: int) -> list[tuple[str, float]]:
        width = self.vectors.width
        around, _ = self.meaning.around(meaning_inputs(self.vectors, [title], [summary])[0], label, other)
        shares: list[tuple[str, float]] = []
        for text, weights in (
            (title, around[:width]),
            (features.full_text(title, summary), around[width:]),
        ):
            pieces = [
                (word, number)
                for word in features.tokens(text[:MAX_CHARACTERS])
                for number in self.vectors.pieces.of_text(word)
            ]
            if pieces:
                rows = self.vectors.of_pieces([number for _, number in pieces])
                length = float(np.linalg.norm(rows.sum(axis=0))) or 1.0
                values = (rows @ (weights / length)).tolist()
                shares.extend((word, value) for (word, _), value in zip(pieces, values, strict=True))
        return shares


def meaning_inputs(vectors: Vectors, titles: Sequence[str], summaries: Sequence[str]) -> Floats:
    """What `VectorModel` reads of texts: the vectors of title and of full text, side by side."""
    full = [features.full_text(title, summary) for title, summary in zip(titles, summaries, strict=True)]
    return np.hstack((vectors.encode(titles), vectors.encode(full)))


def softmax(scores: Floats) -> Floats:
    """Probabilities, row by row."""
    raised: Floats = np.exp(scores - scores.max(axis=1, keepdims=True))
    raised /= raised.sum(axis=1, keepdims=True)
    return raised


def _vector_model(stored: Mapping[str, NDArray[np.generic]]) -> VectorModel:
    names = ("hidden", "hidden_bias", "weights", "bias")
    return VectorModel(*(stored[f"meaning_{name}"].astype(np.float32) for name in names))


def _term_model(stored: Mapping[str, NDArray[np.generic]], name: str) -> TermModel:
    blob = stored[f"{name}_terms"].tobytes().decode("utf-8")
    weights = stored[f"{name}_weights"].astype(np.float32) * stored[f"{name}_scale"].astype(np.float32)
    idf = stored[f"{name}_idf"].astype(np.float32)
    terms = blob.split("\n") if blob else []
    if not len(terms) == len(weights) == len(idf):
        raise ValueError(f"section model: {name} has {len(terms)} terms, {len(weights)} weights")
    ids = {term: number for number, term in enumerate(terms)}
    return TermModel(ids, idf, weights, stored[f"{name}_bias"].astype(np.float32))


def packed_terms(
    name: str, terms: Sequence[str], idf: Floats, weights: Floats, bias: Floats
) -> dict[str, NDArray[np.generic]]:
    """A bag-of-terms model as the arrays that `SectionModel.load` reads: weights in eight bits, a scale per label."""
    scale = np.maximum(np.abs(weights).max(axis=0), 1e-9) / 127
    return {
        f"{name}_terms": np.frombuffer("\n".join(terms).encode("utf-8"), dtype=np.uint8),
        f"{name}_idf": idf.astype(np.float16),
        f"{name}_weights": np.rint(weights / scale).astype(np.int8),
        f"{name}_scale": scale.astype(np.float32),
        f"{name}_bias": bias.astype(np.float32),
    }
