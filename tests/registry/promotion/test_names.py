"""Names of versions: who has them, how they move, and that each move is written down."""

from __future__ import annotations

import json

import pytest
from django.utils import timezone

from accounts.models import AuditEntry
from common.errors import ConflictError, InvalidInputError, NotFoundError
from registry import routing
from registry.models import Alias, AliasChange, ModelVersion
from registry.promotion import aliases
from tests.registry.promotion.cast import classifier
from tests.world import make_version

pytestmark = pytest.mark.django_db


def test_a_name_moves_and_both_ends_are_written_down(owner):
    one, two = classifier(owner, 0.8), classifier(owner, 0.9)
    assert aliases.champion(one.model) is None
    aliases.assign(one.model, "champion", one, owner, reason=" The first. ")
    moved = aliases.assign(one.model, "champion", two, None, "promoted", evidence={"policy": "nightly"})
    assert aliases.champion(one.model) == two
    assert (moved.before, moved.after, moved.actor, moved.evidence) == (one, two, None, {"policy": "nightly"})
    first = AliasChange.objects.order_by("id").first()
    assert (first.before, first.after, first.actor, first.reason, first.kind) == (None, one, owner, "The first.", "set")
    entry = AuditEntry.objects.order_by("-id").first()
    assert (entry.verb, entry.actor_name, entry.object_id) == ("promoted", "", str(one.model_id))
    assert json.loads(entry.details) | {"before": 1, "after": 2, "alias": "champion"} == json.loads(entry.details)


def test_the_router_sees_the_new_champion_at_once(owner):
    one, two = classifier(owner, 0.8), classifier(owner, 0.9)
    aliases.assign(one.model, "champion", one, owner)
    assert routing.choose(one.model, "k").version == one
    aliases.assign(one.model, "champion", two, owner)
    assert routing.choose(one.model, "k").version == two


def test_pages_are_told(owner, monkeypatch):
    told = []
    monkeypatch.setattr(aliases, "publish", lambda *topics: told.extend(topics))
    version = classifier(owner, 0.8)
    aliases.assign(version.model, "champion", version, owner)
    assert told == [f"model.{version.model_id}"]


def test_the_same_version_twice_is_told_and_changes_nothing(owner):
    version = classifier(owner, 0.8)
    aliases.assign(version.model, "champion", version, owner)
    with pytest.raises(ConflictError, match="v1 is the champion already"):
        aliases.assign(version.model, "champion", version, owner)
    assert AliasChange.objects.count() == 1


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"status": "processing"}, "is not ready: processing"),
        ({"status": "failed"}, "is not ready: failed"),
        ({"status": "deleted", "artifact": []}, "was deleted"),
        ({"archived_at": timezone.now()}, "is archived"),
        ({"damaged_at": timezone.now()}, "is damaged"),
    ],
)
def test_what_can_not_be_used_gets_no_name(owner, state, words):
    version = classifier(owner, 0.8)
    ModelVersion.objects.filter(pk=version.pk).update(**state)
    with pytest.raises(ConflictError, match=words):
        aliases.assign(version.model, "challenger", version, owner)
    assert not Alias.objects.exists()


def test_names_are_of_the_models_own_versions_and_known(owner):
    version, other = classifier(owner, 0.8), make_version(owner, "Other")
    with pytest.raises(InvalidInputError, match="no version of Sorter"):
        aliases.assign(version.model, "champion", other, owner)
    with pytest.raises(NotFoundError, match="'best' is no name"):
        aliases.assign(version.model, "best", version, owner)


def test_a_challenger_that_becomes_the_champion_is_the_challenger_no_longer(owner):
    one, two = classifier(owner, 0.8), classifier(owner, 0.9)
    aliases.assign(one.model, "champion", one, owner)
    with pytest.raises(ConflictError, match="is the champion"):
        aliases.assign(one.model, "challenger", one, owner)
    aliases.assign(one.model, "challenger", two, owner)
    assert aliases.challenger(one.model) == two
    aliases.assign(one.model, "champion", two, owner)
    assert aliases.challenger(one.model) is None
    assert [(change.alias, change.kind) for change in aliases.history(one.model)[:2]] == [
        ("champion", "set"), ("challenger", "removed"),
    ]  # fmt: skip


def test_a_name_is_taken_away(owner):
    version = classifier(owner, 0.8)
    aliases.assign(version.model, "champion", version, owner)
    gone = aliases.remove(version.model, "champion", owner, "Wrong data.")
    assert (gone.kind, gone.before, gone.after, gone.reason) == ("removed", version, None, "Wrong data.")
    with pytest.raises(NotFoundError, match="has no champion"):
        aliases.remove(version.model, "champion", owner)


def test_names_of_many_models_are_one_query(owner, django_assert_num_queries):
    versions = [make_version(owner, f"model {number}") for number in range(4)]
    for version in versions[:3]:
        aliases.assign(version.model, "champion", version, owner)
    with django_assert_num_queries(1):
        found = aliases.of([version.model for version in versions])
        assert {key: names["champion"].version.number for key, names in found.items()} == {
            version.model_id: 1 for version in versions[:3]
        }
