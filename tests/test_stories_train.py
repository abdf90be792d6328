"""Training: labels found by key, text files read, a small model that learns, saves and loads."""

import importlib.util
import json

import numpy as np
import pytest

from aggregator.stories import train
from aggregator.stories.sections import SectionModel, softmax
from aggregator.stories.vectors import Vectors
from aggregator.types import LABELS

needs_sklearn = pytest.mark.skipif(
    importlib.util.find_spec("sklearn") is None, reason="fitting needs scikit-learn (the extra 'train')"
)


def test_keys_tell_link_and_title_apart_and_nothing_of_either() -> None:
    key = train.key_of("https://example.org/a", "Title")
    assert key == train.key_of("https://example.org/a", "Title")
    assert len({key, train.key_of("https://example.org/b", "Title"), train.key_of("https://example.org/a", "T")}) == 3
    assert len(key) == 16
    assert int(key, 16) >= 0


def test_our_labels_are_well_formed_and_many() -> None:
    found = train.read_labels()
    assert len(found) >= 1500
    assert {label for label, _ in found.values()} == set(LABELS)
    assert all(other is None or (other in LABELS and other != label) for label, other in found.values())


def test_invented_headlines_are_well_formed() -> None:
    rows = list(train.read_invented())
    assert len(rows) >= 200
    assert len({row.title for row in rows}) == len(rows)
    assert sum(row.section == "marketing" for row in rows) >= 100


def test_labels_find_their_texts_in_the_stream(shared) -> None:
    stream = {
        train.key_of(item["link"] or "", item["title"]): item
        for item in train.read_jsonl(shared / "data" / "rss_stream_2026.jsonl.gz")
    }
    assert set(train.read_labels()) <= set(stream)


@pytest.mark.soak
@needs_sklearn
def test_the_calibration_follows_how_sure_the_scores_may_be_and_what_they_overlook() -> None:
    rows = [train.Row("t", "", LABELS[n % 5], None, 1.0) for n in range(100)]
    scores = np.zeros((100, 5), dtype=np.float32)
    scores[range(100), [n % 5 for n in range(100)]] = 1.0
    wrong = scores.copy()
    wrong[:60] = np.roll(wrong[:60], 1, axis=1)
    assert train.calibrated(scores, rows).temperature < train.calibrated(wrong, rows).temperature
    # Every second row of the first label is taken for the second: the first deserves more than its scores.
    biased = [train.Row("t", "", LABELS[0 if n % 10 == 1 else n % 5], None, 1.0) for n in range(100)]
    offsets = train.calibrated(scores, biased).offsets
    assert offsets[0] > 0 > offsets[1]


def test_a_calibration_without_findings_changes_nothing() -> None:
    scores = np.array([[1.0, 2.0, 0.0, 0.0, 0.5]], dtype=np.float32)
    assert np.array_equal(train.Calibration()(scores), scores)


def test_outlets_are_held_out_whole_and_each_once() -> None:
    rows = [train.Row("t", "", "none", None, 1.0, outlet=name, origin="gold") for name in "aaabbbccdeffg"]
    groups = train.outlet_groups(rows)
    assert len(groups) == 4
    assert sorted(name for group in groups for name in group) == sorted(set("abcdefg"))


@pytest.mark.soak
@needs_sklearn
def test_a_small_model_learns_saves_and_loads(tmp_path) -> None:
    vectors = Vectors.load()
    rows = list(train.read_invented())
    model = train.fit(rows, vectors, train.Calibration(0.9, (0.1, 0.0, 0.0, -0.1, 0.0)))
    train.save(model, tmp_path / "sections.npz")
    loaded = SectionModel.load(vectors, tmp_path / "sections.npz")
    titles, summaries = [r.title for r in rows], [r.summary for r in rows]
    before, after = model.scores(titles, summaries), loaded.scores(titles, summaries)
    assert np.abs(softmax(before) - softmax(after)).max() < 0.05
    right = [LABELS[n] == row.section for n, row in zip(after.argmax(axis=1), rows, strict=True)]
    assert np.mean(right) > 0.9
    assert json.dumps(loaded.temperature) == json.dumps(float(np.float32(0.9)))
