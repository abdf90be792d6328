"""Vectors of texts: alike texts lie close, batches do not matter, a broken table is refused."""

import time

import numpy as np
import pytest

from aggregator.stories.vectors import TABLE, Vectors, WordPieces, fold, save


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    return Vectors.load()


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Café PRICES", "cafe prices"),
        ("Łódź", "łodz"),
        ("“Čau” in 東京… naïve", "“cau” in 東京… naive"),
        ("plain", "plain"),
    ],
)
def test_folding_drops_case_and_accents(text: str, folded: str) -> None:
    assert fold(text) == folded


@pytest.mark.parametrize(
    ("word", "pieces"),
    [("rates", (0,)), ("ratings", (1, 2)), ("xyz", ()), ("ratex", ()), ("r" * 40, ())],
)
def test_words_split_into_the_longest_known_pieces_or_none(word: str, pieces: tuple[int, ...]) -> None:
    assert WordPieces(["rates", "rating", "##s", "rat"]).of_word(word) == pieces


def test_rows_have_length_one_and_nothing_known_gives_zero(vectors: Vectors) -> None:
    rows = vectors.encode(["Central bank raises rates", "", "\N{SNOWMAN}"])
    assert rows.dtype == np.float32
    assert np.linalg.norm(rows[0]) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(rows[1]) == 0


def test_a_row_does_not_depend_on_its_batch(vectors: Vectors) -> None:
    texts = [f"Bank number {n} raises rates by a quarter point" for n in range(1100)]
    together = vectors.encode(texts)
    alone = vectors.encode([texts[1099]])
    assert np.array_equal(together[1099], alone[0])


def test_one_event_in_other_words_is_nearer_than_another_subject(vectors: Vectors) -> None:
    first, same, other = vectors.encode(
        ["Oil prices fall as strait reopens", "Crude drops after tankers return", "Striker scores twice in derby"]
    )
    assert first @ same > first @ other + 0.2


def test_a_saved_table_comes_back_within_its_rounding(tmp_path) -> None:
    table = np.random.default_rng(1).normal(size=(3, 8)).astype(np.float32)
    save(tmp_path / "v.npz", ["a", "b", "##c"], table)
    loaded = Vectors.load(tmp_path / "v.npz")
    assert list(loaded.pieces.ids) == ["a", "b", "##c"]
    assert np.abs(loaded.of_pieces([0, 1, 2]) - table).max() <= np.abs(table).max() / 127


def test_a_table_that_lacks_rows_is_refused(tmp_path) -> None:
    save(tmp_path / "v.npz", ["a", "b"], np.ones((3, 4), dtype=np.float32))
    with pytest.raises(ValueError, match="2 tokens for 3 rows"):
        Vectors.load(tmp_path / "v.npz")


def test_the_table_loads_fast_and_keeps_its_place_in_the_budget() -> None:
    assert TABLE.stat().st_size < 8 << 20
    start = time.process_time()
    Vectors.load()
    assert time.process_time() - start < 0.4
