"""Deploying is a wish: who may have it, what it means for which version, and what was said of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.utils import timezone

from accounts.models import AuditEntry
from common.errors import ConflictError, ForbiddenError, InvalidInputError
from registry import access
from registry.models import Alias, AliasChange, Deployment, ModelVersion, Served
from registry.serving import states, verbs, wanted
from registry.serving.wanted import Wish
from tests.world import make_user, make_version

pytestmark = pytest.mark.django_db


def name(version, alias="champion", before=None, ago=timedelta(0)):
    at = timezone.now() - ago
    Alias.objects.update_or_create(model=version.model, name=alias, defaults={"version": version, "since": at})
    AliasChange.objects.create(model=version.model, alias=alias, kind="promoted", before=before, after=version, at=at)


def approver(who="carol"):
    access.make_roles()
    user = make_user(who)
    user.groups.add(Group.objects.get(name="Approvers"))
    return get_user_model().objects.get(pk=user.pk)


def test_a_deployed_version_is_wanted_in_as_many_replicas_as_were_asked_for(owner):
    version = make_version(owner)
    made = verbs.deploy(version.model, owner, version=version, replicas=3)
    assert wanted.wishes() == [Wish(version.pk, 3)]
    assert verbs.deploy(version.model, owner, version=version, replicas=2).pk == made.pk
    assert wanted.wishes() == [Wish(version.pk, 2)]
    entries = AuditEntry.objects.order_by("id").values_list("verb", "actor_name", "object_id")
    assert list(entries) == [("deployed", "alice", str(version.pk))] * 2


def test_asked_for_twice_it_is_the_same_and_written_down_once(owner):
    version = make_version(owner)
    first = verbs.deploy(version.model, owner, version=version)
    assert verbs.deploy(version.model, owner, version=version) == first
    assert AuditEntry.objects.count() == 1


def test_whoever_has_the_name_is_wanted_and_who_had_it_stays_warm_for_a_day(owner):
    old, new = make_version(owner), make_version(owner)
    verbs.deploy(old.model, owner, alias="champion", replicas=2)
    assert wanted.wishes() == []
    name(old)
    assert wanted.wishes() == [Wish(old.pk, 2)]
    name(new, before=old)
    assert wanted.wishes() == [Wish(new.pk, 2), Wish(old.pk, 1, kept=True)]


def test_who_had_the_name_long_ago_is_not_kept(owner):
    old, new = make_version(owner), make_version(owner)
    verbs.deploy(old.model, owner, alias="champion")
    name(new, before=old, ago=timedelta(days=2))
    assert wanted.wishes() == [Wish(new.pk, 1)]


def test_a_version_that_is_deployed_twice_over_is_wanted_once(owner):
    version = make_version(owner)
    name(version)
    verbs.deploy(version.model, owner, version=version, replicas=2)
    verbs.deploy(version.model, owner, alias="champion", replicas=5)
    assert wanted.wishes() == [Wish(version.pk, 5)]


def test_what_was_undeployed_is_not_wanted_and_twice_is_once(owner):
    version = make_version(owner)
    made = verbs.deploy(version.model, owner, version=version)
    verbs.undeploy(Deployment.objects.get(pk=made.pk), owner)
    verbs.undeploy(made, owner)
    assert wanted.wishes() == []
    assert AuditEntry.objects.filter(verb="undeployed").count() == 1
    assert verbs.deploy(version.model, owner, version=version).pk != made.pk


def test_who_only_sees_a_model_may_neither_deploy_nor_undeploy(owner):
    version = make_version(owner)
    made = verbs.deploy(version.model, owner, version=version)
    carol = approver()
    with pytest.raises(ForbiddenError, match="deploy"):
        verbs.deploy(version.model, carol, version=version, replicas=2)
    with pytest.raises(ForbiddenError):
        verbs.undeploy(made, carol)
    assert verbs.get_deployment(carol, made.pk).ended_at is None


WRONG = [{}, {"alias": "hero"}, {"alias": "champion", "replicas": 0}, {"alias": "champion", "replicas": 17}]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wish_that_says_nothing_or_too_much_is_refused(owner, wrong):
    with pytest.raises(InvalidInputError):
        verbs.deploy(make_version(owner).model, owner, **wrong)


def test_a_version_of_another_model_or_one_that_can_not_answer_is_refused(owner):
    version, other = make_version(owner), make_version(owner, "Other")
    with pytest.raises(InvalidInputError):
        verbs.deploy(version.model, owner, version=other)
    with pytest.raises(ConflictError):
        verbs.deploy(version.model, owner, version=make_version(owner, status=ModelVersion.Status.PROCESSING))
    for field in ("archived_at", "damaged_at"):
        spoilt = make_version(owner)
        setattr(spoilt, field, timezone.now())
        with pytest.raises(ConflictError):
            verbs.deploy(version.model, owner, version=spoilt)


def test_a_damaged_version_is_not_loaded_although_it_is_deployed(owner):
    version = make_version(owner)
    verbs.deploy(version.model, owner, version=version)
    ModelVersion.objects.filter(pk=version.pk).update(damaged_at=timezone.now())
    assert wanted.versions(wanted.wishes()) == {}


def say(version, state, node="n1", ago=timedelta(0), **more):
    Served.objects.create(version=version, node=node, state=state, heard_at=timezone.now() - ago, **more)


def test_the_state_of_a_deployment_is_what_nodes_said_lately(owner):
    version = make_version(owner)
    made = verbs.deploy(version.model, owner, version=version, replicas=2)
    assert (states.in_use([made])[0].state, states.in_use([made])[0].message) == (
        "loading",
        "No node has taken it up yet.",
    )
    say(version, "ready", "gone", timedelta(minutes=5), memory_bytes=7)
    replicas = [
        {"pid": 1, "ready": True, "memory": 5, "requests": 3},
        {"pid": 2, "ready": False, "memory": 0, "requests": 0},
    ]
    say(version, "ready", replicas=replicas, memory_bytes=5, requests=3)
    shown = states.in_use([made])[0]
    assert (shown.state, shown.ready, shown.memory_bytes, shown.requests) == ("ready", 1, 5, 3)


def test_a_version_that_can_not_be_loaded_says_why(owner):
    version = make_version(owner)
    made = verbs.deploy(version.model, owner, version=version)
    say(version, "failed", message="The model's files are damaged.", hint="Restore them.")
    shown = states.in_use([made])[0]
    assert (shown.state, shown.message, shown.hint) == ("failed", "The model's files are damaged.", "Restore them.")


def test_a_name_that_nobody_has_waits(owner):
    made = verbs.deploy(make_version(owner).model, owner, alias="challenger")
    assert (states.in_use([made])[0].state, states.in_use([made])[0].version) == ("waiting", None)


def test_states_of_many_cost_as_much_as_of_one(owner, django_assert_num_queries):
    made = []
    for number in range(5):
        version = make_version(owner, f"model {number}")
        name(version)
        made.append(verbs.deploy(version.model, owner, alias="champion"))
    with django_assert_num_queries(3):
        assert len([one.title for one in states.in_use(made)]) == 5
