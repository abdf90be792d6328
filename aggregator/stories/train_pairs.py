"""Makes `model/terms.npz` and `model/likeness.json`: how telling a term is, and what makes two entries one event.

    python -m aggregator.stories.train_pairs ../shared/data

In: `rss_stream_2026.jsonl.gz` (texts stay there) and `labels/pairs.tsv` (keys and labels, ours). First the figures:
terms and weights from the first two weeks, judged on pairs of the third. Then the shipped files, from all of it.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aggregator.html import to_text
from aggregator.stories.likeness import MEASURES, WEIGHTS_FILE, Subject, Weights, measures
from aggregator.stories.terms import TERMS_FILE, TEXT_LENGTH, Lexicon, tokens
from aggregator.stories.vectors import Vectors
from aggregator.stories.vetoes import veto
from aggregator.urls import canonical_url

LABELS = Path(__file__).parent / "labels" / "pairs.tsv"
STREAM = "rss_stream_2026.jsonl.gz"
LAST_WEEK = datetime(2026, 6, 15, tzinfo=UTC)  # what the figures are reported on
RARE = 2  # documents: rarer terms are left out of the table and count as rarest
NAME_SHARE = 0.6  # written capital inside sentences this often: a name
STRENGTH = 2.0  # of the pull towards zero (L2, on measures of variance 1)
MERGE, RELATED = 0.7, 0.2  # at .6 three more in a hundred merges are false; a false merge hides news
Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of the stream. `key` is what the labels call it."""

    key: str
    title: str
    text: str
    source: str
    published: datetime
    first_seen: datetime


@dataclass(frozen=True, slots=True)
class Label:
    """One judged pair: same, duplicate, related or different. `weight`: how many pairs of the stream it stands for."""

    older: str
    newer: str
    label: str
    part: str
    weight: float

    @property
    def is_same(self) -> bool:
        return self.label in {"same", "duplicate"}


def stream(path: Path) -> list[Row]:
    """The stream in order of arrival, each page once."""
    rows: dict[str, Row] = {}
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            raw = json.loads(line)
            key = hashlib.sha256((canonical_url(raw["link"]) or raw["link"]).encode()).hexdigest()[:16]
            seen = datetime.fromisoformat(raw["first_seen"])
            published = datetime.fromisoformat(raw["published"])
            text = to_text(raw["summary"] or "")[:TEXT_LENGTH]
            rows.setdefault(key, Row(key, raw["title"], text, raw["source"], min(published, seen), seen))
    return sorted(rows.values(), key=lambda row: row.first_seen)


def labels(path: Path = LABELS) -> list[Label]:
    """The judged pairs."""
    fields = (line.split("\t") for line in path.read_text("utf-8").splitlines() if not line.startswith("#"))
    return [Label(older, newer, label, part, float(weight)) for older, newer, label, part, weight in fields]


def save_terms(rows: Sequence[Row], path: Path) -> None:
    """Count terms, tell names by how they are written, and write the table."""
    counts: Counter[str] = Counter()
    inside: Counter[str] = Counter()
    capital: Counter[str] = Counter()
    for row in rows:
        found: set[str] = set()
        for text, is_sentence in ((row.title, _is_sentence(row.title)), (row.text, True)):
            for place, (term, is_capital) in enumerate(tokens(text)):
                found.add(term)
                if is_sentence and place:
                    inside[term] += 1
                    capital[term] += is_capital
        counts.update(found)
    kept = sorted(term for term, count in counts.items() if count >= RARE)
    names = [term.isalpha() and inside[term] > 0 and capital[term] >= NAME_SHARE * inside[term] for term in kept]
    np.savez_compressed(
        path,
        terms=np.frombuffer("\n".join(kept).encode("utf-8"), dtype=np.uint8),
        counts=np.array([min(counts[term], 65_535) for term in kept], dtype=np.uint16),
        names=np.array(names, dtype=np.uint8),
        documents=np.array(len(rows)),
    )


def _is_sentence(title: str) -> bool:
    """Whether a title is written like a sentence, so that its capitals mean something."""
    words = title.split()[1:]
    return sum(word[:1].islower() for word in words) >= 0.4 * max(1, len(words))


def subjects(rows: Sequence[Row], lexicon: Lexicon, vectors: Vectors) -> Iterator[Subject]:
    """The rows as the comparison sees them."""
    titled = vectors.encode([row.title for row in rows])
    whole = vectors.encode([f"{row.title}. {row.text}" for row in rows])
    for row, title_vector, vector in zip(rows, titled, whole, strict=True):
        terms = lexicon.terms_of(row.title, row.text)
        yield Subject(row.title, terms, title_vector, vector, row.published.timestamp(), row.source)


def table(pairs: Sequence[Label], rows: Mapping[str, Row], lexicon: Lexicon, vectors: Vectors) -> Matrix:
    """The measures of every pair."""
    keys = sorted({key for pair in pairs for key in (pair.older, pair.newer)})
    ready = dict(zip(keys, subjects([rows[key] for key in keys], lexicon, vectors), strict=True))
    return np.array([measures(ready[pair.older], ready[pair.newer]) for pair in pairs])


def fitted(values: Matrix, is_same: NDArray[np.bool_]) -> Weights:
    """Logistic regression by Newton's method, pulled towards zero."""
    mean, scale = values.mean(axis=0), values.std(axis=0)
    scale[scale == 0] = 1.0
    design = np.column_stack([(values - mean) / scale, np.ones(len(values))])
    pull = np.diag([STRENGTH] * values.shape[1] + [0.0])
    solution = np.zeros(design.shape[1])
    for _ in range(50):
        guess = 1 / (1 + np.exp(-design @ solution))
        slope = design.T @ (guess - is_same) + pull @ solution
        curve = (design * (guess * (1 - guess))[:, None]).T @ design + pull
        step = np.linalg.solve(curve, slope)
        solution -= step
        if np.abs(step).max() < 1e-9:
            break
    factors = solution[:-1] / scale
    constant = float(solution[-1] - factors @ mean)
    return Weights(tuple(float(factor) for factor in factors), constant, MERGE, RELATED)


def figures(
    weights: Weights, values: Matrix, pairs: Sequence[Label], rows: Mapping[str, Row], is_weighted: bool
) -> str:
    """Precision, recall and F1 of merges at several thresholds, vetoes applied."""
    scores = np.array(
        [
            0.0 if veto(rows[pair.older].title, rows[pair.newer].title) else weights.probability(row)
            for pair, row in zip(pairs, values.tolist(), strict=True)
        ]
    )
    counts = np.array([pair.weight if is_weighted else 1.0 for pair in pairs])
    same = np.array([pair.is_same for pair in pairs])
    parts = []
    for threshold in (0.4, 0.5, 0.6, 0.7, 0.8):
        merged = scores >= threshold
        hits = counts[merged & same].sum()
        precision, recall = hits / counts[merged].sum(), hits / counts[same].sum()
        f1 = 2 * precision * recall / (precision + recall)
        parts.append(f"  at {threshold}: precision {precision:.3f} recall {recall:.3f} F1 {f1:.3f}")
    return "\n".join(parts)


def main(data: Path) -> None:
    """Print the figures and write the shipped files."""
    everything = stream(data / STREAM)
    rows = {row.key: row for row in everything}
    judged = [pair for pair in labels() if pair.older in rows and pair.newer in rows]
    vectors = Vectors.load()
    early = TERMS_FILE.with_name("terms.early.npz")
    save_terms([row for row in everything if row.first_seen < LAST_WEEK], early)
    values = table(judged, rows, Lexicon.load(early), vectors)
    early.unlink()
    same = np.array([pair.is_same for pair in judged])
    is_test = np.array([pair.part == "test" for pair in judged])
    weights = fitted(values[~is_test], same[~is_test])
    unseen = [pair for pair in judged if pair.part == "test"]
    for is_weighted in (False, True):
        how = "as frequent as in the stream" if is_weighted else "as sampled"
        print(f"{len(unseen)} pairs of the last week, {how}")
        print(figures(weights, values[is_test], unseen, rows, is_weighted))
    save_terms(everything, TERMS_FILE)
    shipped = fitted(table(judged, rows, Lexicon.load(), vectors), same)
    stored = {
        "factors": dict(zip(MEASURES, (round(factor, 5) for factor in shipped.factors), strict=True)),
        "constant": round(shipped.constant, 5),
        "merge": shipped.merge,
        "related": shipped.related,
    }
    WEIGHTS_FILE.write_text(json.dumps(stored, indent=1) + "\n", "utf-8")
    print(json.dumps(stored["factors"]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
