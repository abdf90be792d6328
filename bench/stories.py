"""Grouping: how well beside other rules, and at what cost.

    python -m bench.stories ../shared/data            the table of docs/heuristics-stories.md
    python -m bench.stories ../shared/data --cost     milliseconds and memory at a window of 50,000 entries
    python -m bench.stories ../shared/data --week     labelled pairs of the last week as the daemon's index places them
    python -m bench.stories ../shared/data --order    how far the order of arrival within an hour decides

The rules of others are judged on the same labelled pairs of the stream's last week; what has a threshold got the one
with the highest F1 on the two weeks before.
"""

from __future__ import annotations

import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from uuid import NAMESPACE_URL, UUID, uuid5

import numpy as np

from aggregator.stories import train_pairs
from aggregator.stories.cluster import StoryIndex, StoryPolicy
from aggregator.stories.compare import Comparer
from aggregator.stories.evaluate_pairs import bcubed
from aggregator.stories.measures import MEASURES
from aggregator.stories.terms import Lexicon
from aggregator.stories.train_net import fitted
from aggregator.stories.train_pairs import Label, Row
from aggregator.text import title_key, words
from aggregator.types import SourceRef, StoredEntry

DATA = Path("../shared/data")
WINDOW = 50_000
SHUFFLES = 3
Score = Callable[[Row, Row], float]


def newsblur(one: Row, other: Row) -> float:
    """Words of the shorter headline that the other has, where three or more are common; a merge from .6 on."""
    mine, theirs = set(words(one.title)), set(words(other.title))
    common = len(mine & theirs)
    return common / max(1, min(len(mine), len(theirs))) if common >= 3 else 0.0


def same_title(one: Row, other: Row) -> float:
    """Whether the headlines are the same but for case and signs."""
    return float(title_key(one.title) == title_key(other.title) != "")


def feedly(one: Row, other: Row) -> float:
    """Share of common words in title and text; hidden above .85."""
    mine, theirs = set(words(f"{one.title} {one.text}")), set(words(f"{other.title} {other.text}"))
    return len(mine & theirs) / max(1, len(mine | theirs))


def scored(pairs: Sequence[Label], scores: Sequence[float], threshold: float) -> tuple[float, float, float]:
    """Precision, recall and F1 of merging from a threshold on."""
    merged = np.array(scores) >= threshold
    same = np.array([pair.is_same for pair in pairs])
    hits = float((merged & same).sum())
    precision, recall = hits / max(1.0, float(merged.sum())), hits / float(same.sum())
    return precision, recall, 2 * precision * recall / max(1e-9, precision + recall)


@dataclass(frozen=True, slots=True)
class Trial:
    """Models from the stream's first two weeks, and labelled pairs: `tuned` of these weeks, `unseen` of the third."""

    comparer: Comparer
    rows: Mapping[str, Row]
    tuned: Sequence[Label]
    unseen: Sequence[Label]

    def values(self, pairs: Sequence[Label]) -> train_pairs.Matrix:
        """The measures of pairs."""
        return train_pairs.table(pairs, self.rows, self.comparer.lexicon, self.comparer.vectors)

    def says(self, pairs: Sequence[Label]) -> list[float]:
        """Our probability of each pair, 1 for a copy and 0 where a veto stands."""
        return products(self.comparer, pairs, self.rows)


def trial(data: Path) -> Trial:
    """Everything that was learnt, learnt again without the last week."""
    everything = train_pairs.stream(data / train_pairs.STREAM)
    rows = {row.key: row for row in everything}
    judged = train_pairs.labels()
    tuned = [pair for pair in judged if pair.part == "train"]
    vectors = Comparer.load().vectors
    with tempfile.TemporaryDirectory() as folder:
        early = Path(folder) / "terms.npz"
        train_pairs.save_terms([row for row in everything if row.first_seen < train_pairs.LAST_WEEK], early)
        lexicon = Lexicon.load(early)
    values = train_pairs.table(tuned, rows, lexicon, vectors)
    same = np.array([pair.is_same for pair in tuned])
    weights = fitted(values, same, train_pairs.MERGE, train_pairs.RELATED)
    return Trial(Comparer(lexicon, vectors, weights), rows, tuned, [pair for pair in judged if pair.part == "test"])


def quality(data: Path) -> None:
    """Print the table."""
    ours = trial(data)
    rows, tuned, unseen = ours.rows, ours.tuned, ours.unseen
    values = {"tuned": ours.values(tuned), "unseen": ours.values(unseen)}
    print(f"| rule | threshold | precision | recall | F1 |   ({len(unseen)} pairs)\n|---|---|---|---|---|")
    rules = ("same title", same_title, 1.0), ("NewsBlur", newsblur, 0.6), ("Feedly", feedly, 0.85)
    for name, rule, threshold in rules:
        report(name, unseen, [rule(rows[pair.older], rows[pair.newer]) for pair in unseen], threshold)
    for name in ("title_words", "words", "title_meaning", "meaning"):
        column = MEASURES.index(name)
        threshold = best_threshold(tuned, values["tuned"][:, column])
        report(name, unseen, values["unseen"][:, column], threshold)
    said = ours.says(unseen)
    for threshold in (0.5, 0.6, 0.7, train_pairs.MERGE, 0.8, 0.85, 0.9):
        report("ours", unseen, said, threshold)


def report(name: str, pairs: Sequence[Label], scores: Sequence[float], threshold: float) -> None:
    """One line of the table."""
    precision, recall, f1 = scored(pairs, scores, threshold)
    print(f"| {name} | {threshold:.2f} | {precision:.3f} | {recall:.3f} | {f1:.3f} |")


def best_threshold(pairs: Sequence[Label], scores: Sequence[float]) -> float:
    """The threshold with the highest F1."""
    return max((float(step) for step in np.arange(0.05, 1.0, 0.01)), key=lambda at: scored(pairs, scores, at)[2])


def products(comparer: Comparer, pairs: Sequence[Label], rows: Mapping[str, Row]) -> list[float]:
    """A comparer's probability, 1 for a copy and 0 where a veto stands."""
    scores = []
    for pair in pairs:
        one, other = comparer.articles(
            (row.title, row.text, row.published, row.source) for row in (rows[pair.older], rows[pair.newer])
        )
        found = comparer.compare(one, other)
        scores.append(1.0 if found.is_copy else 0.0 if found.veto else found.probability)
    return scores


def cost(data: Path) -> None:
    """Print what grouping costs with 50,000 entries in the window, in time of the processor.

    The window is the stream, repeated within 72 hours.
    """
    before = _memory()
    rows = train_pairs.stream(data / train_pairs.STREAM)
    began = rows[0].first_seen
    index = StoryIndex(StoryPolicy(), new_id)
    entries = []
    for number in range(WINDOW + 500):
        row, round_ = rows[number % len(rows)], number // len(rows)
        seen = began + timedelta(seconds=number * 72 * 3600 / WINDOW)
        # Other words in every round, or the window would hold copies alone.
        title = " ".join(word if place % 3 else f"{word}{round_ or ''}" for place, word in enumerate(row.title.split()))
        address = f"https://{row.source.replace(' ', '')}{round_}.example/{number}"
        source = SourceRef(number % 300, address, row.source)
        entries.append(
            StoredEntry(number, source, title, seen, seen, link=address, canonical_url=address, published=seen,
                        title_key=title_key(title), summary=row.text)
        )  # fmt: skip
    filled = _memory()
    grouped = [replace(entry, story_id=new_id(entry)) for entry in entries[:WINDOW]]
    start = time.process_time()
    index.load(grouped)
    print(f"rebuild of {len(index)} entries: {time.process_time() - start:.1f} s")
    print(f"memory: {_memory() - filled:.0f} MB for the index (models and {filled - before:.0f} MB of test data apart)")
    took = []
    for entry in entries[WINDOW:]:
        start = time.process_time()
        index.place(entry)
        took.append((time.process_time() - start) * 1000)
    print(f"place: {np.median(took):.2f} ms in the middle, {np.percentile(took, 95):.2f} ms for 95 of 100")


def order(data: Path) -> None:
    """Print how far the order of arrival within each hour decides: B³ between the stories of two orders."""
    entries = streamed(data)
    expected, joined = replayed(entries)
    print(f"{len(entries)} entries, {len(set(expected.values()))} stories, {joined} of them joined to others")
    for seed in range(SHUFFLES):
        chance = random.Random(seed)
        hours = {entry.entry_id: (entry.first_seen.replace(minute=0, second=0), chance.random()) for entry in entries}
        found, joined = replayed(sorted(entries, key=lambda entry: hours[entry.entry_id]))
        ids = sorted(expected)
        b3 = bcubed([expected[i] for i in ids], [found[i] for i in ids])["bcubed_f1"]
        told = {story for story, number in Counter(expected.values()).items() if number > 1}
        grown = [i for i in ids if expected[i] in told]
        of_several = bcubed([expected[i] for i in grown], [found[i] for i in grown])["bcubed_f1"]
        print(f"shuffle {seed}: B3 F1 {b3:.4f}; {of_several:.4f} of entries in stories of several; {joined} joined")


def week(data: Path) -> None:
    """Print how often labelled pairs of the last week end in one story, by models that never saw that week.

    A story takes one entry an outlet and asks for more than one likely pair: fewer pairs come together than alone.
    """
    ours = trial(data)
    began = train_pairs.LAST_WEEK - StoryPolicy().window
    entries = [entry for entry in streamed(data) if entry.first_seen >= began]
    stories, _ = replayed(entries, ours.comparer)
    story_of = {(entry.link or "").rpartition("/")[2]: stories[entry.entry_id] for entry in entries}
    pairs = [pair for pair in ours.unseen if pair.older in story_of and pair.newer in story_of]
    together = [float(story_of[pair.older] == story_of[pair.newer]) for pair in pairs]
    print(f"{len(entries)} entries, {len(set(stories.values()))} stories, {len(pairs)} labelled pairs")
    report("in one story", pairs, together, 1.0)


def streamed(data: Path) -> list[StoredEntry]:
    """The stream as stored entries."""
    feeds: dict[str, int] = {}
    entries = []
    for number, row in enumerate(train_pairs.stream(data / train_pairs.STREAM), 1):
        address = f"https://{row.source.replace(' ', '').lower()}.example/{row.key}"
        source = SourceRef(feeds.setdefault(row.source, len(feeds) + 1), address, row.source)
        entries.append(
            StoredEntry(number, source, row.title, row.first_seen, row.first_seen, link=address, canonical_url=address,
                        published=row.published, title_key=title_key(row.title), summary=row.text)
        )  # fmt: skip
    return entries


def replayed(entries: Sequence[StoredEntry], comparer: Comparer | None = None) -> tuple[dict[int, UUID], int]:
    """The story of each entry when they come in this order, and how many stories were joined to another."""
    index = StoryIndex(StoryPolicy(), new_id, comparer)
    placed: dict[int, UUID] = {}
    became: dict[UUID, UUID] = {}
    for number, entry in enumerate(entries):
        if number % 200 == 0:
            index.expire(entry.first_seen - timedelta(hours=1))
        placement = index.place(entry)
        placed[entry.entry_id] = placement.story_id
        became |= dict.fromkeys(placement.absorbs, placement.story_id)
    return {entry_id: _followed(story_id, became) for entry_id, story_id in placed.items()}, len(became)


def _followed(story_id: UUID, became: Mapping[UUID, UUID]) -> UUID:
    while story_id in became:
        story_id = became[story_id]
    return story_id


def new_id(entry: StoredEntry) -> UUID:
    """A story id as good as any."""
    return uuid5(NAMESPACE_URL, str(entry.entry_id))


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    others = {"--cost": cost, "--week": week, "--order": order}
    next((others[option] for option in sys.argv if option in others), quality)(Path(sys.argv[1]))
