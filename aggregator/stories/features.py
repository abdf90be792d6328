"""What the section model sees of a text: words, pairs of neighbours, and the letter groups inside words.

In: title and summary as plain text. Out: terms with their weights. Training and running share this file, so that
a model never meets features it was not trained on.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

from aggregator.stories.vectors import fold
from aggregator.text import words

TITLE_WEIGHT = 2  # a word in the title counts as two in the summary
SUMMARY_CHARACTERS = 300  # what most feeds give; more would make rich feeds look different from terse ones
GRAM_SIZES = (3, 4, 5)
LONGEST_WORD = 40


def full_text(title: str, summary: str) -> str:
    """Title and start of the summary as one text, for the vectors."""
    return f"{title}. {summary[:SUMMARY_CHARACTERS]}"


def tokens(text: str) -> list[str]:
    """Folded words in order."""
    return [word for word in words(fold(text)) if len(word) <= LONGEST_WORD]


def word_weights(title: str, summary: str) -> dict[str, float]:
    """Every word with the damped count of its uses."""
    counts: Counter[str] = Counter()
    for word in tokens(title):
        counts[word] += TITLE_WEIGHT
    counts.update(tokens(summary[:SUMMARY_CHARACTERS]))
    return {word: 1 + math.log(count) for word, count in counts.items()}


def term_weights(title: str, summary: str) -> dict[str, float]:
    """Words and pairs of neighbours (`"interest rates"`) with the damped counts of their uses."""
    counts: Counter[str] = Counter()
    for text, weight in ((title, TITLE_WEIGHT), (summary[:SUMMARY_CHARACTERS], 1)):
        line = tokens(text)
        for word in line:
            counts[word] += weight
        for left, right in pairwise(line):
            counts[f"{left} {right}"] += weight
    return {term: 1 + math.log(count) for term, count in counts.items()}


def grams(word: str) -> list[str]:
    """The letter groups of a word with its edges marked: `<oi`, `oil`, `il>` …"""
    marked = f"<{word}>"
    return [marked[i : i + size] for size in GRAM_SIZES for i in range(len(marked) - size + 1)]
