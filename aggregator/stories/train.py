"""Fits the section model anew: `python -m aggregator.stories.train --data ../shared/data --out DIR [--report]`.

In: the labelled collections of the data folder, our own labels (`labels/sections.tsv`: keys, never texts) looked up
in the unlabelled stream, headlines of our invention (`labels/invented.tsv`). Out: `sections.npz`. Needs scikit-learn
(the extra `train`); two to three minutes of one core. `--report` measures on time and outlet splits and writes nothing.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aggregator.stories import features
from aggregator.stories.evaluate import sections as score
from aggregator.stories.sections import (
    MODELS,
    SectionModel,
    TermModel,
    VectorModel,
    meaning_inputs,
    packed_terms,
    softmax,
)
from aggregator.stories.vectors import TABLE, Vectors
from aggregator.types import LABELS

LABELS_DIR = Path(__file__).parent / "labels"
LETTERS = {label[0]: label for label in LABELS}  # the letters of our label files: t c e m n

WORD_TERMS = 50_000
LETTER_TERMS = 40_000
# Weights by origin: what looks like the feeds we meet counts most. Old collections teach words, not taste.
WEIGHTS = {"gold": 4.0, "ours": 3.0, "invented": 2.0, "synthetic": 2.0, "hand": 2.0, "old": 0.7, "unverified": 0.5}
STRENGTH = 4.0  # inverse regularisation of words and letters
UNITS, DECAY, ROUNDS, NETWORKS = (
    128,
    0.3,
    10,
    3,
)  # of the network on vectors; three are averaged, as each falls elsewhere
SPREAD = 14.0  # the numbers of a unit vector of 192, brought to about 1
CAUTION = 10.0  # how strongly the offsets of the calibration are held at zero; at 1 they follow chance

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
    weights, bias = _regression(_matrix(cells, len(terms)), rows, STRENGTH)
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
    weights, bias = _regression(_matrix(cells, len(terms)), rows, STRENGTH)
    return TermModel(ids, idf, weights, bias)


def fit_meaning(rows: Sequence[Row], vectors: Vectors) -> VectorModel:
    """The networks on vectors, laid side by side as one: the average of their scores is theirs."""
    from sklearn.neural_network import MLPClassifier

    inputs = meaning_inputs(vectors, [row.title for row in rows], [row.summary for row in rows]) * np.float32(SPREAD)
    labels = np.array([LABELS.index(row.section) for row in rows])
    weights = np.array([row.weight for row in rows])
    networks = []
    for seed in range(NETWORKS):
        network = MLPClassifier((UNITS,), alpha=DECAY, max_iter=ROUNDS, batch_size=128, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of not having converged: stopping early is meant
            network.fit(inputs, labels, sample_weight=weights / weights.mean())
        networks.append(network)
    return VectorModel(
        _floats(np.hstack([network.coefs_[0] for network in networks]) * SPREAD),
        _floats(np.hstack([network.intercepts_[0] for network in networks])),
        _floats(np.vstack([_centred(network.coefs_[1]) for network in networks]) / NETWORKS),
        _floats(np.mean([_centred(network.intercepts_[1]) for network in networks], axis=0)),
    )


def _centred(scores: Any) -> Any:
    """The same scores with a mean of zero: what is added to all labels decides nothing."""
    return scores - scores.mean(axis=-1, keepdims=True)


def _floats(numbers: Any) -> Floats:
    return np.asarray(numbers, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Calibration:
    """How scores become log odds that can be believed: all divided by `temperature`, then `offsets` (labels) added."""

    temperature: float = 1.0
    offsets: tuple[float, ...] = (0.0,) * len(LABELS)

    def __call__(self, scores: Floats) -> Floats:
        return scores / np.float32(self.temperature) + np.array(self.offsets, dtype=np.float32)


def calibrated(scores: Floats, rows: Sequence[Row]) -> Calibration:
    """The calibration that makes the labels of held-out rows likeliest; offsets only as far as the rows insist."""
    from scipy.optimize import minimize

    labels = [LABELS.index(row.section) for row in rows]

    def loss(given: NDArray[np.floating[Any]]) -> float:
        shares = softmax((scores * given[0] + given[1:]).astype(np.float64))
        return float(-np.log(shares[range(len(rows)), labels] + 1e-12).sum() + CAUTION * (given[1:] ** 2).sum())

    slope, *offsets = minimize(loss, np.array([1.0, *[0.0] * len(LABELS)])).x
    return Calibration(1 / float(slope), tuple(map(float, offsets)))


def fit(rows: Sequence[Row], vectors: Vectors, calibration: Calibration | None = None) -> SectionModel:
    """The three models together. The offsets of the calibration go into the bias of one of them."""
    found = calibration or Calibration()
    meaning = fit_meaning(rows, vectors)
    shift = np.array(found.offsets, dtype=np.float32) * (MODELS * found.temperature)
    meaning = replace(meaning, bias=meaning.bias + shift)
    return SectionModel(fit_words(rows), fit_letters(rows), meaning, vectors, found.temperature)


def save(model: SectionModel, path: Path) -> None:
    """Write the parameters as `SectionModel.load` reads them."""
    parts: dict[str, Any] = {
        "meaning_hidden": model.meaning.hidden.astype(np.float16),
        "meaning_hidden_bias": model.meaning.hidden_bias.astype(np.float32),
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


def outlet_groups(rows: Sequence[Row], count: int = 4) -> list[frozenset[str]]:
    """The outlets of the hand-labelled rows in groups of about the same number of rows."""
    outlets = Counter(row.outlet for row in rows if row.origin == "gold")
    names = [name for name, _ in outlets.most_common()]
    return [frozenset(names[start::count]) for start in range(count)]


def unseen_outlets(rows: Sequence[Row], vectors: Vectors) -> list[tuple[Floats, list[Row]]]:
    """Scores of the hand-labelled rows, group by group of outlets, each by a model that never saw these outlets."""
    return [held_out(rows, _from(group), vectors) for group in outlet_groups(rows)]


def report(
    rows: Sequence[Row], vectors: Vectors, folds: Sequence[tuple[Floats, list[Row]]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Figures on unseen weeks and unseen outlets; each part is calibrated on hand-labelled rows outside of it."""
    parts = [(name, *held_out(rows, is_test, vectors)) for name, is_test in (("late", late), ("early", early))]
    parts += [(f"outlets {number}", *fold) for number, fold in enumerate(folds, 1)]
    probabilities = {name: softmax(_without(folds, test)(scores)) for name, scores, test in parts}
    tests = {name: test for name, _, test in parts}
    outlets = [name for name in tests if name.startswith("outlets")]
    for names in (["late"], ["early"], ["late", "early"], *([name] for name in outlets), outlets):
        together = [row for name in names for row in tests[name]]
        figures = np.vstack([probabilities[name] for name in names])
        yield " + ".join(names), _figures(together, figures)
    for outlet, count in Counter(row.outlet for name in outlets for row in tests[name]).most_common(8):
        pairs = [(r, p) for name in outlets for r, p in zip(tests[name], probabilities[name], strict=True)]
        some = [(row, p) for row, p in pairs if row.outlet == outlet]
        yield f"{outlet} ({count})", _figures([row for row, _ in some], np.vstack([p for _, p in some]))


def _without(folds: Sequence[tuple[Floats, list[Row]]], test: Sequence[Row]) -> Calibration:
    """The calibration by all rows of the folds that are not in the test."""
    told = {id(row) for row in test}
    kept = [(s, row) for scores, rows in folds for s, row in zip(scores, rows, strict=True) if id(row) not in told]
    return calibrated(np.vstack([s for s, _ in kept]), [row for _, row in kept])


def _figures(rows: Sequence[Row], probabilities: Floats) -> dict[str, Any]:
    found = score([{"section": row.section, "alt": row.alt} for row in rows], probabilities)
    table = np.zeros((len(LABELS), len(LABELS)), dtype=int)
    for row, answer in zip(rows, probabilities.argmax(axis=1), strict=True):
        table[LABELS.index(row.section), answer] += 1
    return found | {"confusions": table.tolist()}


def _from(outlets: frozenset[str]) -> Callable[[Row], bool]:
    return lambda row: row.outlet in outlets


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=TABLE.parent)
    parser.add_argument("--report", action="store_true", help="measure on splits, write nothing")
    parser.add_argument(
        "--without", action="append", default=[], metavar="ORIGIN", help="leave these rows out (a trial)"
    )
    options = parser.parse_args(arguments)
    vectors = Vectors.load()
    rows = [row for row in read_rows(options.data) if row.origin not in options.without]
    print(f"{len(rows)} rows", dict(Counter(row.origin for row in rows)), flush=True)
    folds = unseen_outlets(rows, vectors)
    if options.report:
        for name, figures in report(rows, vectors, folds):
            print(name, json.dumps(figures), flush=True)
        return 0
    calibration = _without(folds, ())
    print(calibration)
    save(fit(rows, vectors, calibration), options.out / "sections.npz")
    print(f"wrote {options.out / 'sections.npz'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
