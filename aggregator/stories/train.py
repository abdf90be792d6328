"""Fits the section model anew: `python -m aggregator.stories.train --data ../shared/data --out DIR [--report]`.

In: the labelled collections of the data folder, our own labels (`labels/sections.tsv`: keys, never texts) looked up
in the unlabelled stream, headlines of our invention (`labels/invented.tsv`). Out: `sections.npz`. Needs scikit-learn
(the extra `train`); about two minutes on one core. `--report` measures on time and outlet splits and writes nothing.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aggregator.stories import features
from aggregator.stories.evaluate import sections as score
from aggregator.stories.sections import SectionModel, TermModel, VectorModel, packed_terms, softmax
from aggregator.stories.vectors import TABLE, Vectors
from aggregator.types import LABELS

LABELS_DIR = Path(__file__).parent / "labels"
LETTERS = {label[0]: label for label in LABELS}  # the letters of our label files: t c e m n

WORD_TERMS = 50_000
LETTER_TERMS = 40_000
# Weights by origin: what looks like the feeds we meet counts most. Old collections teach words, not taste.
WEIGHTS = {"gold": 4.0, "ours": 3.0, "invented": 2.0, "synthetic": 2.0, "hand": 2.0, "old": 0.7, "unverified": 0.5}
STRENGTH = {"words": 4.0, "letters": 4.0, "meaning": 8.0}  # inverse regularisation

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled text. `date` (ISO) and `outlet` are empty where the collection does not say."""

    title: str
    summary: str
    section: str
    alt: str | None
    weight: float
    outlet: str = ""
    date: str = ""
    origin: str = ""


def key_of(link: str, title: str) -> str:
    """The name of a stream entry in our label files: it finds the text where the data is, and tells nothing."""
    return hashlib.sha256(f"{link}\n{title}".encode()).hexdigest()[:16]


# ---------------------------------------------------------------- reading


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON Lines file, gzipped or not."""
    opener: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def read_labels(path: Path = LABELS_DIR / "sections.tsv") -> dict[str, tuple[str, str | None]]:
    """Key to (label, other acceptable label or None). Lines: key, tab, one or two letters; `#` begins a comment."""
    found: dict[str, tuple[str, str | None]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            key, letters, *_ = line.split("\t")
            found[key] = (LETTERS[letters[0]], LETTERS[letters[1]] if len(letters) > 1 else None)
    return found


def read_invented(path: Path = LABELS_DIR / "invented.tsv") -> Iterator[Row]:
    """Headlines written for this purpose: letters, title, summary."""
    for line in path.read_text(encoding="utf-8").splitlines():
        letters, title, summary = line.split("\t")
        alt = LETTERS[letters[1]] if len(letters) > 1 else None
        yield Row(title, summary, LETTERS[letters[0]], alt, WEIGHTS["invented"], origin="invented")


def _row(item: dict[str, Any], origin: str) -> Row:
    return Row(
        item["title"],
        item.get("summary") or "",
        item["section"],
        item.get("alt"),
        WEIGHTS[origin],
        outlet=(item.get("source") or "") if origin in ("gold", "ours") else "",
        date=item.get("date") or (item.get("published") or item.get("first_seen") or "")[:10],
        origin=origin,
    )


def read_rows(data: Path) -> list[Row]:
    """Every labelled text, our own included."""
    rows = [_row(item, "gold") for item in read_jsonl(data / "rss_gold_dev.jsonl.gz")]
    ours = read_labels()
    for item in read_jsonl(data / "rss_stream_2026.jsonl.gz"):
        label = ours.pop(key_of(item["link"] or "", item["title"]), None)
        if label is not None:
            rows.append(_row(item | {"section": label[0], "alt": label[1]}, "ours"))
    rows.extend(read_invented())
    rows.extend(_row(item, "synthetic") for item in read_jsonl(data / "classify_synthetic.jsonl"))
    for item in read_jsonl(data / "classify_train.jsonl.gz"):
        rows.append(_row(item, "hand" if item["how"] == "hand" else "old"))
    rows.extend(_row(item, "unverified") for item in read_jsonl(data / "classify_train_unverified.jsonl.gz"))
    return rows


# ---------------------------------------------------------------- fitting


def _vocabulary(
    documents: Sequence[Iterable[str]], weights: Sequence[float], size: int, least: float
) -> tuple[list[str], Floats]:
    """The terms in most documents (each counted with its weight) and their idf."""
    counts: Counter[str] = Counter()
    for document, weight in zip(documents, weights, strict=True):
        for term in set(document):
            counts[term] += weight  # type: ignore[assignment]
    chosen = sorted((t for t, c in counts.most_common(size) if c >= least))
    total = sum(weights)
    return chosen, np.array([np.log((1 + total) / (1 + counts[t])) + 1 for t in chosen], dtype=np.float32)


def _matrix(rows: Sequence[tuple[Sequence[int], Floats]], width: int) -> Any:
    from scipy.sparse import csr_matrix

    ends = np.cumsum([0, *(len(ids) for ids, _ in rows)])
    ids = np.concatenate([np.asarray(i, dtype=np.int64) for i, _ in rows])
    return csr_matrix((np.concatenate([v for _, v in rows]), ids, ends), shape=(len(rows), width))


def _regression(matrix: Any, rows: Sequence[Row], strength: float) -> tuple[Floats, Floats]:
    """Weights (features by labels) and biases of a multinomial logistic regression."""
    from sklearn.linear_model import LogisticRegression

    labels = np.array([LABELS.index(row.section) for row in rows])
    model = LogisticRegression(C=strength, max_iter=80, tol=1e-3)
    model.fit(matrix, labels, sample_weight=np.array([row.weight for row in rows]))
    return model.coef_.T.astype(np.float32), model.intercept_.astype(np.float32)


def fit_words(rows: Sequence[Row]) -> TermModel:
    """The model on words and pairs."""
    documents = [features.term_weights(row.title, row.summary) for row in rows]
    terms, idf = _vocabulary(documents, [row.weight for row in rows], WORD_TERMS, least=1.5)
    ids = {term: number for number, term in enumerate(terms)}
    cells = []
    for document in documents:
        known = [(ids[t], w) for t, w in document.items() if t in ids]
        values = np.array([w for _, w in known], dtype=np.float32) * idf[[i for i, _ in known]]
        cells.append(([i for i, _ in known], values / max(float(np.linalg.norm(values)), 1e-9)))
    weights, bias = _regression(_matrix(cells, len(terms)), rows, STRENGTH["words"])
    return TermModel(ids, idf, weights, bias)


def fit_letters(rows: Sequence[Row]) -> TermModel:
    """The model on letter groups; a text's length is reckoned word by word, as `SectionModel` does."""
    documents = [features.word_weights(row.title, row.summary) for row in rows]
    spelled = {word: features.grams(word) for document in documents for word in document}
    sets = [{gram for word in document for gram in spelled[word]} for document in documents]
    terms, idf = _vocabulary(sets, [row.weight for row in rows], LETTER_TERMS, least=3)
    ids = {term: number for number, term in enumerate(terms)}
    numbers = {word: [ids[g] for g in found if g in ids] for word, found in spelled.items()}
    squares = {word: float(idf[found] @ idf[found]) for word, found in numbers.items()}
    cells = []
    for document in documents:
        cell: dict[int, float] = {}
        square = sum(weight * weight * squares[word] for word, weight in document.items())
        for word, weight in document.items():
            for number in numbers[word]:
                cell[number] = cell.get(number, 0.0) + weight * float(idf[number])
        values = np.array(list(cell.values()), dtype=np.float32) / max(square, 1e-9) ** 0.5
        cells.append((list(cell), values))
    weights, bias = _regression(_matrix(cells, len(terms)), rows, STRENGTH["letters"])
    return TermModel(ids, idf, weights, bias)


def fit_meaning(rows: Sequence[Row], vectors: Vectors) -> VectorModel:
    """The model on vectors."""
    titles = vectors.encode([row.title for row in rows])
    full = vectors.encode([features.full_text(row.title, row.summary) for row in rows])
    return VectorModel(*_regression(np.hstack((titles, full)), rows, STRENGTH["meaning"]))


def fit(rows: Sequence[Row], vectors: Vectors, temperature: float = 1.0) -> SectionModel:
    """The three models together."""
    return SectionModel(fit_words(rows), fit_letters(rows), fit_meaning(rows, vectors), vectors, temperature)


def best_temperature(scores: Floats, rows: Sequence[Row]) -> float:
    """The divisor of the scores that makes held-out labels likeliest."""
    labels = [LABELS.index(row.section) for row in rows]
    tried = np.arange(0.4, 1.6, 0.02)
    losses = [-np.log(softmax(scores / t)[range(len(rows)), labels] + 1e-9).mean() for t in tried]
    return float(tried[int(np.argmin(losses))])


def save(model: SectionModel, path: Path) -> None:
    """Write the parameters as `SectionModel.load` reads them."""
    parts: dict[str, Any] = {
        "meaning_weights": model.meaning.weights.astype(np.float16),
        "meaning_bias": model.meaning.bias.astype(np.float32),
        "temperature": np.float32(model.temperature),
    }
    for name, terms in (("words", model.words), ("letters", model.letters)):
        parts |= packed_terms(name, list(terms.ids), terms.idf, terms.weights, terms.bias)
    np.savez_compressed(path, **parts)


# ---------------------------------------------------------------- measuring


def held_out(rows: Sequence[Row], is_test: Callable[[Row], bool], vectors: Vectors) -> tuple[Floats, list[Row]]:
    """Scores of the gold rows that `is_test` picks by a model that saw none of the rows it picks."""
    test = [row for row in rows if row.origin == "gold" and is_test(row)]
    model = fit([row for row in rows if not is_test(row)], vectors)
    return model.scores([r.title for r in test], [r.summary for r in test]), test


def late(row: Row) -> bool:
    """The last weeks of the labelled news, after the end of the unlabelled stream."""
    return row.date >= "2026-06-22"


def early(row: Row) -> bool:
    """The first weeks, before the stream begins."""
    return row.origin == "gold" and row.date < "2026-06-01"


def report(rows: Sequence[Row], vectors: Vectors, temperature: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """Scores on unseen weeks and on unseen outlets."""
    splits: list[tuple[str, Callable[[Row], bool]]] = [("late weeks", late), ("early weeks", early)]
    outlets = Counter(row.outlet for row in rows if row.origin == "gold")
    groups = [[name for name, _ in outlets.most_common()][i::4] for i in range(4)]
    splits += [(f"outlets {', '.join(group)}", _from(frozenset(group))) for group in groups]
    for name, is_test in splits:
        scores, test = held_out(rows, is_test, vectors)
        texts = [{"section": r.section, "alt": r.alt} for r in test]
        yield name, score(texts, softmax(scores / temperature))


def _from(outlets: frozenset[str]) -> Callable[[Row], bool]:
    return lambda row: row.outlet in outlets


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=TABLE.parent)
    parser.add_argument("--report", action="store_true", help="measure on splits, write nothing")
    options = parser.parse_args(arguments)
    vectors = Vectors.load()
    rows = read_rows(options.data)
    print(f"{len(rows)} rows", dict(Counter(row.origin for row in rows)))
    scores, test = held_out(rows, late, vectors)
    temperature = best_temperature(scores, test)
    print(f"temperature {temperature:.2f}")
    if options.report:
        for name, figures in report(rows, vectors, temperature):
            print(name, json.dumps(figures))
        return 0
    model = fit(rows, vectors, temperature)
    save(model, options.out / "sections.npz")
    print(f"wrote {options.out / 'sections.npz'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
