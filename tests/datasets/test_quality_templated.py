"""Texts that a template made are alike in nearly all their letters: comparing them must not grow without bound."""

import random
import time

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from datasets.claims import take
from datasets.models import QualityRun
from datasets.quality import alike, resembling, texts
from datasets.quality.runs import start_run
from datasets.quality.work import Look
from tests.datasets.planted import rows

COUNT = 800
SECONDS = 5.0  # of the processor; without a query and new shingles for each pair it takes one


def templated(count):
    """Pairs such as a sheet's template makes, each once."""
    chance = random.Random(4)
    made = {}
    while len(made) < count:
        made[f"A machine of type {chance.choice('HLM')} at {chance.uniform(3, 77):.1f} Nm. Fails?"] = None
    return [{"prompt": text, "completion": chance.choice(["yes", "no"])} for text in made]


@pytest.fixture
def measured(texts, owner, monkeypatch):
    """A look at many such pairs, just before they are compared."""
    monkeypatch.setattr("datasets.quality.texts._language", lambda text: ("en", 1.0))
    rows(texts, templated(COUNT))
    look = Look(take(QualityRun, start_run(texts, owner).pk, "dataset"), gives_way=True)
    look._measure()
    return look


def test_comparing_templated_texts_has_a_bound_in_queries_looks_and_time(measured, monkeypatch):
    looks = []
    closer = resembling.CLOSER["text"]
    monkeypatch.setitem(resembling.CLOSER, "text", lambda *pair: looks.append(pair) or closer(*pair))
    started = time.process_time()
    with CaptureQueriesContext(connection) as queries:
        measured._compare()
    assert time.process_time() - started < SECONDS
    assert len(queries) < COUNT / 5, "contents are fetched many at a time"
    assert len(looks) <= 2 * alike.MOST_LOOKS * COUNT, "each with its nearest few, and the first of their groups"
    alone = [item for item in measured.board.ids.tolist() if not measured.found[item]]
    assert len(alone) < COUNT / 10, "nearly all of them are alike"


def test_each_near_duplicate_is_like_the_first_of_its_group(measured):
    measured._compare()
    items = measured.dataset.items.in_bulk()
    for pk, found in measured.found.items():
        for one in found:
            if one.code == "near_duplicate":
                pair = (texts.compared(items[key], lambda: None) for key in (pk, one.cluster))
                assert texts.jaccard(*pair) >= resembling.SHARED


def test_contents_are_forgotten_when_they_grow_too_large_and_fetched_again(measured, monkeypatch):
    pairs = resembling.Pairs(measured.board, lambda: None)
    groups = alike.Groups(COUNT)
    pairs.join(groups)
    monkeypatch.setattr(resembling, "REMEMBERED_BYTES", 2000)
    small = resembling.Pairs(measured.board, lambda: None)
    again = alike.Groups(COUNT)
    small.join(again)
    assert again.leader == groups.leader
    assert len(small._known) < len(pairs._known) == COUNT
