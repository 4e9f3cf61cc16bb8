"""Who answers a request while versions are compared."""

import logging
from collections import Counter

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from common.errors import ConflictError
from registry import routing
from registry.models import Alias, ModelVersion, Route, RouteArm
from tests.world import make_version


@pytest.fixture
def versions(owner):
    first = make_version(owner)
    return [first, *(make_version(owner, model=first.model) for _ in range(3))]


def named(version, name="champion"):
    Alias.objects.update_or_create(
        model=version.model, name=name, defaults={"version": version, "since": timezone.now()}
    )


def divided(versions, weights, shadows=(), salt="pepper"):
    """An open route; the first version is the control."""
    named(versions[0])
    route = Route.objects.create(model=versions[0].model, salt=salt, started_at=timezone.now())
    for number, (version, weight) in enumerate(zip(versions, weights, strict=False)):
        RouteArm.objects.create(route=route, version=version, name=f"arm {number}", control=number == 0, weight=weight)
    for version in shadows:
        RouteArm.objects.create(route=route, version=version, name=f"shadow {version.number}", shadow=True)
    return route


def chosen(model, keys):
    arms = routing.open_arms(model)
    return [routing.taken(arms, key).name for key in keys]


def test_keys_are_divided_by_the_weights_and_stay_where_they_are(versions):
    divided(versions[:3], (2, 1, 1))
    keys = [f"customer {number}" for number in range(8000)]
    arms = chosen(versions[0].model, keys)
    counts = Counter(arms)
    for name, expected in (("arm 0", 4000), ("arm 1", 2000), ("arm 2", 2000)):
        assert abs(counts[name] - expected) < 5 * (expected * (1 - expected / 8000)) ** 0.5
    assert chosen(versions[0].model, keys) == arms


def test_another_route_divides_the_same_keys_otherwise(versions):
    divided(versions[:2], (1, 1))
    keys = [f"customer {number}" for number in range(1000)]
    before = chosen(versions[0].model, keys)
    Route.objects.update(salt="salt")
    moved = sum(a != b for a, b in zip(before, chosen(versions[0].model, keys), strict=True))
    assert 400 < moved < 600


def test_without_a_key_chance_decides(versions):
    divided(versions[:2], (1, 1))
    assert set(chosen(versions[0].model, [""] * 64)) == {"arm 0", "arm 1"}


def test_a_choice_is_one_query_and_without_a_route_two(versions, django_assert_num_queries):
    divided(versions[:2], (1, 1), versions[2:])
    with django_assert_num_queries(1):
        choice = routing.choose(versions[0].model, "somebody")
        assert choice.version.model == versions[0].model
    assert choice.arm and choice.version.pk == choice.arm.version_id
    assert [arm.version for arm in choice.shadows] == versions[2:]
    Route.objects.update(ended_at=timezone.now())
    with django_assert_num_queries(2):
        routing.choose(versions[0].model, "somebody")


def test_nobody_is_given_to_an_arm_once_the_route_has_ended(versions):
    route = divided(versions[:2], (1, 99))
    assert routing.choose(versions[0].model, "a").arm is not None
    Route.objects.filter(pk=route.pk).update(ended_at=timezone.now())
    choice = routing.choose(versions[0].model, "a")
    assert (choice.version, choice.arm, choice.shadows) == (versions[0], None, ())


def test_the_challenger_by_name_is_no_part_of_the_comparison(versions):
    divided(versions[:2], (1, 1))
    named(versions[3], "challenger")
    choice = routing.choose(versions[0].model, "a", "challenger")
    assert (choice.version, choice.arm) == (versions[3], None)


@pytest.mark.parametrize("trouble", ["it failed", "it is damaged", "its base is damaged"])
def test_where_an_arm_cannot_answer_the_control_does_and_it_counts_for_nobody(versions, trouble, caplog):
    divided(versions[:2], (1, 999_999))
    arm = ModelVersion.objects.filter(pk=versions[1].pk)
    if trouble == "it failed":
        arm.update(status="failed")
    elif trouble == "it is damaged":
        arm.update(damaged_at=timezone.now())
    else:
        files = [{**versions[1].artifact[0], "name": "adapter.safetensors"}]
        arm.update(base_version=versions[3], artifact=files)
        assert routing.choose(versions[0].model, "a").version == versions[1]
        ModelVersion.objects.filter(pk=versions[3].pk).update(damaged_at=timezone.now())
    routing._said.clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            choice = routing.choose(versions[0].model, "a")
            assert (choice.version, choice.arm) == (versions[0], None)
    assert caplog.text.count("the control answers in its place") == 1


def test_a_shadow_that_is_not_ready_gets_no_copies(versions):
    divided(versions[:1], (1,), versions[1:3])
    ModelVersion.objects.filter(pk=versions[1].pk).update(status="failed")
    assert [arm.version for arm in routing.choose(versions[0].model, "a").shadows] == [versions[2]]


def test_a_withdrawn_arm_gets_nothing_more(versions):
    divided(versions[:2], (1, 999_999))
    RouteArm.objects.filter(control=False).update(withdrawn_at=timezone.now())
    assert routing.choose(versions[0].model, "a").arm is None
    with pytest.raises(IntegrityError), transaction.atomic():
        RouteArm.objects.filter(control=True).update(withdrawn_at=timezone.now())


def test_whoever_is_promoted_meanwhile_answers_at_once(versions):
    divided(versions[:2], (1, 1))
    named(versions[3])
    choice = routing.choose(versions[0].model, "a")
    assert (choice.version, choice.arm) == (versions[3], None)


def test_a_model_without_champion_says_so(versions):
    with pytest.raises(ConflictError, match="has no champion"):
        routing.choose(versions[0].model, "a")
