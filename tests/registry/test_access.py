"""Who sees models, and who may do what with them."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from common.errors import ForbiddenError, NotFoundError
from registry import access
from registry.access import Action
from registry.models import Alias, AliasChange
from tests.world import make_user, make_version

pytestmark = pytest.mark.django_db


def with_role(name: str, role: str):
    access.make_roles()
    user = make_user(name)
    user.groups.add(Group.objects.get(name=role))
    return get_user_model().objects.get(pk=user.pk)


def test_owners_may_all_but_approve_and_override():
    version = make_version(make_user("ada"))
    owner = version.model.owner
    assert access.get_version(owner, version.pk) == version
    assert {action for action in Action if access.may(owner, action, version.model)} == access.OWNERS


def test_a_stranger_sees_nothing():
    version = make_version(make_user("ada"))
    stranger = make_user("bob")
    with pytest.raises(NotFoundError):
        access.get_version(stranger, version.pk)
    with pytest.raises(NotFoundError):
        access.get_model(stranger, version.model_id)
    assert not access.models_for(stranger).exists()
    assert not access.versions_for(stranger).exists()


def test_a_role_sees_all_models_and_may_what_it_is_for():
    version = make_version(make_user("ada"))
    approver = with_role("bob", "Approvers")
    assert access.get_version(approver, version.pk) == version
    access.require(approver, Action.APPROVE, version.model)
    with pytest.raises(ForbiddenError) as refusal:
        access.require(approver, Action.DEPLOY, version.model)
    assert "Release managers" in refusal.value.hint


def test_groups_keep_what_administrators_made_of_them():
    access.make_roles()
    Group.objects.get(name="Analysts").permissions.clear()
    access.make_roles()
    assert not Group.objects.get(name="Analysts").permissions.exists()


def test_a_name_can_not_be_that_of_another_models_version():
    user = make_user("ada")
    mine, other = make_version(user, "One"), make_version(user, "Two")
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        Alias.objects.create(model=mine.model, name="champion", version=other, since=timezone.now())
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_the_history_of_names_is_only_added_to():
    version = make_version(make_user("ada"))
    change = AliasChange.objects.create(
        model=version.model, alias="champion", kind="set", after=version, at=timezone.now()
    )
    with pytest.raises(IntegrityError), transaction.atomic():
        AliasChange.objects.filter(pk=change.pk).update(reason="another")
    with pytest.raises(IntegrityError), transaction.atomic():
        AliasChange.objects.filter(pk=change.pk).delete()
