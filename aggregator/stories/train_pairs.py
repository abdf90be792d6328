"""Makes `model/terms.npz` and `model/likeness.json`: how telling a term is, and what makes two entries one event.

    python -m aggregator.stories.train_pairs ../shared/data

In: `rss_stream_2026.jsonl.gz` (texts stay there) and `labels/pairs.tsv` (keys and labels, ours). First the figures:
terms and weights from the first two weeks, judged on pairs of the third and on doubtful ones that nothing is taught.
Then the shipped files, from all the rest.
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
from aggregator.stories.measures import Subject, measures
from aggregator.stories.terms import TERMS_FILE, TEXT_LENGTH, Lexicon, tokens
from aggregator.stories.train_net import fitted
from aggregator.stories.vectors import Vectors
from aggregator.stories.vetoes import veto
from aggregator.urls import canonical_url

LABELS = Path(__file__).parent / "labels" / "pairs.tsv"
STREAM = "rss_stream_2026.jsonl.gz"
LAST_WEEK = datetime(2026, 6, 15, tzinfo=UTC)  # what the figures are reported on
RARE = 2  # documents: rarer terms are left out of the table and count as rarest
NAME_SHARE = 0.6  # written capital inside sentences this often: a name
FOLDS = 8  # of the cross-validation
THRESHOLDS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9)
MERGE, RELATED = 0.75, 0.2  # .95 right on pairs no model drew (1,162, held out); a false merge hides news
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
    """One judged pair: same, duplicate, related or different. `weight`: how many pairs of the stream it stands for.
    `part`: train, test (the last week) or doubt (pairs that a model was unsure of; judged, never taught)."""

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


def guessed(values: Matrix, pairs: Sequence[Label]) -> Matrix:
    """What a model says of each pair that saw none of its event: cross-validation, FOLDS times."""
    same = np.array([pair.is_same for pair in pairs])
    fold = np.random.default_rng(0).integers(0, FOLDS, len(pairs))[_events(pairs)]
    scores = np.zeros(len(pairs))
    for number in range(FOLDS):
        weights = fitted(values[fold != number], same[fold != number], MERGE, RELATED)
        for place in np.flatnonzero(fold == number).tolist():
            scores[place] = weights.probability(values[place])
    return scores


def _events(pairs: Sequence[Label]) -> NDArray[np.int64]:
    """A number for each pair; pairs that hang together by common entries have the same."""
    parents: dict[str, str] = {}

    def root(key: str) -> str:
        while parents.setdefault(key, key) != key:
            key = parents[key]
        return key

    for pair in pairs:
        parents[root(pair.older)] = root(pair.newer)
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(root(pair.older), len(numbers)) for pair in pairs])


def figures(scores: Matrix, pairs: Sequence[Label], rows: Mapping[str, Row], is_weighted: bool) -> str:
    """Precision, recall and F1 of merges at several thresholds, vetoes applied."""
    vetoed = np.array([veto(rows[pair.older].title, rows[pair.newer].title) is not None for pair in pairs])
    counts = np.array([pair.weight if is_weighted else 1.0 for pair in pairs])
    same = np.array([pair.is_same for pair in pairs])
    parts = []
    for threshold in THRESHOLDS:
        merged = (scores >= threshold) & ~vetoed
        hits = counts[merged & same].sum()
        precision, recall = hits / counts[merged].sum(), hits / counts[same].sum()
        f1 = 2 * precision * recall / (precision + recall)
        parts.append(f"  at {threshold:.2f}: precision {precision:.3f} recall {recall:.3f} F1 {f1:.3f}")
    return "\n".join(parts)


def main(data: Path) -> None:
    """Print the figures and write the shipped files."""
    everything = stream(data / STREAM)
    rows = {row.key: row for row in everything}
    known = [pair for pair in labels() if pair.older in rows and pair.newer in rows]
    tuned, unseen, doubtful = ([pair for pair in known if pair.part == part] for part in ("train", "test", "doubt"))
    vectors = Vectors.load()
    early = TERMS_FILE.with_name("terms.early.npz")
    save_terms([row for row in everything if row.first_seen < LAST_WEEK], early)
    seen, late, hard = (table(pairs, rows, Lexicon.load(early), vectors) for pairs in (tuned, unseen, doubtful))
    early.unlink()
    weights = fitted(seen, np.array([pair.is_same for pair in tuned]), MERGE, RELATED)
    for what, pairs, scores in (
        ("tuning pairs, cross-validated", tuned, guessed(seen, tuned)),
        ("pairs of the last week", unseen, np.array([weights.probability(row) for row in late])),
        ("doubtful pairs", doubtful, np.array([weights.probability(row) for row in hard])),
    ):
        for is_weighted in (False, True):
            how = "as frequent as in the stream" if is_weighted else "as sampled"
            print(f"{len(pairs)} {what}, {how}\n{figures(scores, pairs, rows, is_weighted)}")
    save_terms(everything, TERMS_FILE)
    judged = [pair for pair in known if pair.part != "doubt"]
    same = np.array([pair.is_same for pair in judged])
    fitted(table(judged, rows, Lexicon.load(), vectors), same, MERGE, RELATED).save()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
