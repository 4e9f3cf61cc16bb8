"""What is logged of a model is said by those who may see its predictions, and noted."""

import pytest
from django.db import OperationalError

from accounts.models import AuditEntry
from common.errors import ForbiddenError, InvalidInputError
from registry.logged import policies
from registry.logged.policies import Policy, change_policy, policy_of, recent_policy
from tests.registry.logged.cast import classifier


def test_a_model_has_the_defaults_until_somebody_says_otherwise(owner):
    model = classifier(owner).model
    assert policy_of(model.pk) == Policy("hash", 1.0, 90)
    change_policy(model, owner, keep="none", share=0.5, days=3)
    assert policy_of(model.pk) == recent_policy(model.pk) == Policy("none", 0.5, 3)
    assert AuditEntry.objects.get(verb="changed what is logged").name == "Sorter"


@pytest.mark.parametrize(
    "wrong", [{"keep": "some"}, {"share": 1.5}, {"share": -0.1}, {"share": float("nan")}, {"days": 0}, {"days": 3651}]
)
def test_wrong_values_are_named(owner, wrong):
    with pytest.raises(InvalidInputError) as error:
        change_policy(classifier(owner).model, owner, **{"keep": "hash", "share": 1.0, "days": 90, **wrong})
    assert set(error.value.fields) == set(wrong)


def test_others_may_not(owner, stranger):
    with pytest.raises(ForbiddenError):
        change_policy(classifier(owner).model, stranger, keep="full", share=1, days=1)


def test_while_the_database_is_away_nothing_of_an_input_is_kept_unless_that_is_known(owner, settings, monkeypatch):
    settings.LOG_PREDICTIONS_AT_ONCE = False
    model = classifier(owner).model
    monkeypatch.setattr(policies, "_known", {})
    change_policy(model, owner, keep="full", share=1, days=1)

    def away(model_id):
        raise OperationalError

    with monkeypatch.context() as patch:
        patch.setattr(policies, "policy_of", away)
        assert recent_policy(model.pk).keep == "none"
    assert recent_policy(model.pk).keep == "full"
    monkeypatch.setattr(policies, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(policies, "policy_of", away)
    assert recent_policy(model.pk).keep == "full"
