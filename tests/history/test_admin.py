"""Sessions in the administration: narrowed and searched without looking at all of them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from history.recording import record_reported

AT = datetime(2026, 3, 1, tzinfo=UTC)
LIST = "/admin/history/session/"


@pytest.fixture
def boss(client, administrator):
    client.force_login(administrator)
    return client


@pytest.fixture
def three(owner, stranger):
    made = [
        (owner, "fox", "failed", "forecast"),
        (owner, "red fox", "completed", "simulate"),
        (stranger, "hen", "", ""),
    ]
    return [
        record_reported(
            who, {"name": name, "outcome": outcome, "recipe": recipe, "started_at": AT, "completed_at": AT}
        )[0]
        for who, name, outcome, recipe in made
    ]


def names(boss, query=""):
    return {row.name for row in boss.get(f"{LIST}?{query}").context["cl"].result_list}


def test_a_search_is_for_an_id_a_user_or_words(boss, three, stranger):
    assert names(boss) == {"fox", "red fox", "hen"}
    assert names(boss, "q=FOX") == {"fox", "red fox"}
    assert names(boss, f"q={three[1].session_id}") == {"red fox"}
    assert names(boss, f"q={stranger.username}") == {"hen"}
    assert names(boss, "q=%00x") == {"fox", "red fox", "hen"}  # refused in words by Django
    assert names(boss, "q=wolf") == set()


def test_it_is_narrowed_to_what_is_known_beforehand(boss, three):
    assert names(boss, "outcome=failed") == names(boss, "recipe=forecast") == {"fox"}
    assert names(boss, "outcome=none-such") == {"fox", "red fox", "hen"}


def test_no_query_reads_which_values_all_sessions_have(boss, three):
    with CaptureQueriesContext(connection) as asked:
        boss.get(LIST)
    assert not [query for query in asked if "DISTINCT" in query["sql"]]
