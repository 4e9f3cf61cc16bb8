"""People of several roles, and a model whose versions differ by their figures."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from registry import access
from registry.models import ModelVersion
from registry.promotion import policy
from tests.world import make_user, make_version


def with_role(name: str, *roles: str):
    """A person of these roles, fresh, as permissions are remembered."""
    access.make_roles()
    user = get_user_model().objects.filter(username=name).first() or make_user(name)
    user.groups.add(*Group.objects.filter(name__in=roles))
    return get_user_model().objects.get(pk=user.pk)


def manager():
    """Somebody who may promote, go against rules and change them."""
    return with_role("marge", "Release managers")


def approver(name: str = "bob"):
    return with_role(name, "Approvers")


def classifier(owner, accuracy: float, **wanted) -> ModelVersion:
    """The next version of the owner's classifier."""
    metrics = {"validation/accuracy": accuracy, "validation/loss": 1 - accuracy}
    return make_version(owner, "Sorter", "text-classification", metrics, **wanted)


def settle(model, **rules):
    """The model's policy, as a release manager changes it."""
    return policy.change(model, manager(), **rules)
