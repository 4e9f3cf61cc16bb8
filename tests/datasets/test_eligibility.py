"""Who can be trained, and why not: counted by the database, said in words."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InvalidInputError, NotFoundError
from datasets.models import Dataset, EligibilityPolicy, Item, Subject
from datasets.subjects import eligibility, subjects
from datasets.subjects.eligibility import Figures, check_criteria, evaluate, reasons, save_policy


def about(subject, dataset, number, **more):
    values = {"label": "a", "facts": {"words": 20}, "name": f"{number}.txt"} | more
    return Item(
        dataset=dataset, subject=subject, sha256=f"{dataset.pk}-{number}".rjust(64, "0"), bytes=1,
        media_type="text/plain", **values,
    )  # fmt: skip


@pytest.fixture
def dataset(owner):
    return Dataset.objects.create(owner=owner, name="Texts", modality="text")


def test_the_development_default_is_there_from_the_start(owner, dataset):
    policy = EligibilityPolicy.objects.get()
    assert (policy.is_default, policy.criteria) == (True, {"responses": 2, "words": 50, "categories": 1})
    ada, bob, eve = (subjects.create(owner, name=name) for name in ("Ada", "Bob", "Eve"))
    Item.objects.bulk_create([about(ada, dataset, n) for n in range(3)] + [about(bob, dataset, 9, label="")])
    of_ada, of_bob, of_eve = evaluate([ada, bob, eve])
    assert of_ada.eligible
    assert of_bob.reasons == (
        "needs 2 responses, has 1", "needs 50 words, has 20", "needs 1 category, has none",
    )  # fmt: skip
    assert of_eve.reasons[0] == "needs 2 responses, has none"
    EligibilityPolicy.objects.all().delete()
    assert evaluate([ada])[0].eligible
    assert not EligibilityPolicy.objects.exists()


def test_a_datasets_subject_holds_for_items_that_name_none(owner):
    ada, bob = (subjects.create(owner, name=name) for name in ("Ada", "Bob"))
    dataset = Dataset.objects.create(owner=owner, name="Table", modality="table", subject=ada)
    Item.objects.bulk_create(
        [about(None, dataset, 1, facts={"rows": 500, "seconds": 5}), about(bob, dataset, 2, facts={"seconds": 7200})]
    )
    of_ada, of_bob = evaluate([ada, bob])
    assert (of_ada.figures.responses, of_ada.figures.items) == (500, 1)
    assert (of_bob.figures.responses, of_bob.figures.hours) == (1, 2.0)


def test_gates_quality_and_age(owner, dataset):
    ada = subjects.create(owner, name="Ada")
    old = timezone.now() - timedelta(days=120)
    items = [
        about(ada, dataset, n, quality=q, recorded_at=old, facts={"words": 100}) for n, q in enumerate((40, 60, None))
    ]
    items[0].aside = "by_hand"
    Item.objects.bulk_create(items)
    policy = save_policy(name="Strict", criteria={"responses": 3, "quality": 70, "max_age_days": 90, "gates": True})
    assert evaluate([ada], policy)[0].reasons == (
        "needs 3 responses, has 2", "needs a quality of 70, has 60",
        "needs data of the last 90 days, the newest are 120 days old",
    )  # fmt: skip
    assert evaluate([ada], save_policy(name="Loose", criteria={"responses": 3}))[0].eligible
    Dataset.objects.update(approvals=1)
    assert evaluate([ada], policy)[0].figures.responses == 0
    assert evaluate([ada], policy)[0].reasons[1] == "needs a quality of 70, was not checked yet"


def test_a_policy_of_a_kind_goes_before_the_default(owner, dataset):
    press = subjects.create(owner, name="Press 4", kind="machine")
    ada = subjects.create(owner, name="Ada", kind="person")
    save_policy(name="Machines", criteria={"hours": 0.5}, kind="machine")
    of_press, of_ada = evaluate([press, ada])
    assert (of_press.policy.name, of_press.reasons) == ("Machines", ("needs 0.5 hours, has none",))
    assert of_ada.policy.is_default


def test_there_is_one_default(db):
    save_policy(name="New", criteria={"words": 10}, is_default=True)
    assert list(EligibilityPolicy.objects.filter(is_default=True).values_list("name", flat=True)) == ["New"]
    with pytest.raises(InvalidInputError, match="of this name"):
        save_policy(name="New", criteria={})
    assert eligibility.find_policy("New").criteria == {"words": 10}
    with pytest.raises(NotFoundError, match="no policy 'Old'"):
        eligibility.find_policy("Old")


@pytest.mark.parametrize(
    "wrong",
    [[], "x", {"word": 1}, {"words": -1}, {"words": 1.5}, {"words": True}, {"words": "5"}, {"quality": 101},
     {"hours": float("inf")}, {"max_age_days": float("nan")}, {"gates": 1}],
)  # fmt: skip
def test_criteria_that_mean_nothing_are_refused(wrong):
    with pytest.raises(InvalidInputError):
        check_criteria(wrong)


def test_empty_criteria_are_left_out():
    assert check_criteria({"words": None, "hours": "", "gates": False, "quality": 0}) == {"quality": 0}
    assert eligibility.in_words({"responses": 2, "categories": 1, "max_age_days": 90, "gates": True}) == (
        "at least 2 responses, 1 category, of the last 90 days, all through the gates"
    )


numbers = st.fixed_dictionaries(
    {}, optional={"responses": st.integers(0, 9), "words": st.integers(0, 99), "hours": st.floats(0, 5)}
)


@settings(deadline=None)
@given(numbers, st.integers(0, 9), st.integers(0, 99), st.floats(0, 5))
def test_eligible_is_when_every_number_is_reached(criteria, responses, words, hours):
    of = Figures(responses=responses, words=words, hours=hours)
    told = reasons(criteria, of, timezone.now())
    missing = [name for name, needed in criteria.items() if getattr(of, name) < needed]
    assert len(told) == len(missing)


def test_ten_thousand_subjects_are_judged_in_two_queries_within_a_second(owner, dataset, django_assert_num_queries):
    Subject.objects.bulk_create(Subject(owner=owner, name=f"s{n}") for n in range(10_000))
    keys = list(Subject.objects.values_list("pk", flat=True))
    Item.objects.bulk_create((about(None, dataset, n, label=f"c{n % 3}") for n in range(30_000)), batch_size=5000)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE datasets_item SET subject_id = %s + id %% 10000", [min(keys)])
        cursor.execute("ANALYZE datasets_item")
    found = list(Subject.objects.all())
    with django_assert_num_queries(2):
        started = time.perf_counter()
        verdicts = evaluate(found)
        seconds = time.perf_counter() - started
    assert sum(verdict.eligible for verdict in verdicts) == 10_000
    print(f"10,000 subjects, 30,000 items: {seconds:.2f} s")
    assert seconds < 1
