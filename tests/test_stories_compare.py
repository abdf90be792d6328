"""Two entries side by side: copies that are none, and what a table of words does not know."""

from __future__ import annotations

import pytest

from aggregator.stories.compare import Comparer, Comparison


def compared(one: str, other: str, text: str = "") -> Comparison:
    comparer = Comparer.load()
    first, second = comparer.articles([(one, text, None, None), (other, text, None, None)])
    return comparer.compare(first, second)


@pytest.mark.parametrize(
    ("one", "other", "is_copy"),
    [
        # A talent show's headlines differ in the performer alone, and no table knows performers.
        (
            "Zorbetta sings at the second evening of the Brno talent show (video)",
            "Quendrick sings at the second evening of the Brno talent show (video)",
            False,
        ),
        (
            "Harbour bridge opens after ten years of building and two of delay",
            "Harbour bridge opens after ten years of building and two of delay: pictures",
            True,
        ),
    ],
)
def test_headlines_of_one_pattern_are_no_copies(one: str, other: str, is_copy: bool) -> None:
    assert compared(one, other).is_copy is is_copy
    assert compared(other, one).is_copy is is_copy


def test_a_long_text_outweighs_a_word_that_no_table_knows() -> None:
    text = (
        "Engineers of the town have shown how a swarm of small boats can clear a harbour of ice in one night, with no"
        " more power than a kitchen needs, and hope to sell the first of them before the winter after next begins."
    )
    assert compared("Zorbetta clears ice with boats", "Quendrick clears ice with boats", text).is_copy
