"""`bmn train`: from corrections in the store to a head in use, and back."""

from __future__ import annotations

import json
import random
from uuid import UUID

import pytest
from builders import NOW
from service import Service
from test_cli_filing import bmn
from test_stories_learn import airships

from aggregator.store import Correction, Store
from aggregator.types import LABELS


@pytest.fixture
def service(tmp_path):
    return Service(tmp_path, [])


def corrected(service: Service, count: int, *labels: str) -> None:
    """So many corrections, with these labels by chance (none given: all marketing)."""
    chance = random.Random(5)
    with Store(f"sqlite:///{service.folder / 'news.db'}") as store:
        for number, example in enumerate(airships()[:count]):
            label = chance.choice(labels or ("marketing",))
            store.correct(Correction("file", NOW, (UUID(int=number),), section=label, texts=example.texts))


def in_use(service: Service) -> int | None:
    with Store(f"sqlite:///{service.folder / 'news.db'}") as store:
        head = store.head()
        return head.head_id if head else None


def test_too_few_corrections_say_how_many_are_needed(service):
    corrected(service, 5)
    failed = bmn(service, "train", "--corrections")
    assert failed.returncode == 1
    assert "5 corrections of English stories, and 20 are needed" in failed.stderr


def test_corrections_are_learnt_kept_by_version_and_rolled_back(service):
    corrected(service, 36)
    dry = bmn(service, "train", "--corrections", "--dry-run", "--json")
    report = json.loads(dry.stdout)
    assert (dry.returncode, report["version"], report["refusal"], in_use(service)) == (0, None, None, None)
    assert report["right_after"] > report["right_before"]
    done = bmn(service, "train", "--corrections")
    assert done.returncode == 0
    assert "version 1 is in use" in done.stdout
    assert "SIGHUP" in done.stderr
    assert "bmn rules apply --since 7d" in done.stderr
    assert json.loads(bmn(service, "train", "--corrections", "--json").stdout)["version"] == 2
    assert json.loads(bmn(service, "train", "--rollback", "--json").stdout) == {"rolled_back": 2, "in_use": 1}
    assert in_use(service) == 1
    assert "shipped section model alone is in use" in bmn(service, "train", "--rollback").stdout
    nothing = bmn(service, "train", "--rollback")
    assert (nothing.returncode, in_use(service)) == (1, None)
    assert "nothing to roll back" in nothing.stderr


def test_the_last_word_on_a_story_counts_and_what_was_taken_back_does_not(service):
    corrected(service, 36)
    with Store(f"sqlite:///{service.folder / 'news.db'}") as store:
        for number in range(20):
            store.correct(Correction("file", NOW, (UUID(int=number),)))
    failed = bmn(service, "train", "--corrections")
    assert "16 corrections" in failed.stderr


def test_no_gain_is_no_new_version(service):
    corrected(service, 36, *LABELS)
    done = bmn(service, "train", "--corrections")
    assert done.returncode == 1
    assert "not taken up" in done.stdout
    assert in_use(service) is None


@pytest.mark.parametrize("arguments", [(), ("--corrections", "--rollback")])
def test_one_thing_at_a_time(service, arguments):
    assert bmn(service, "train", *arguments).returncode == 2
