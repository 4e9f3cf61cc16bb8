"""The truth of a prediction is judged when it comes, once, and by those alone whom it concerns."""

from uuid import uuid4

import pytest
from django.contrib.auth.models import Group

from accounts.models import AuditEntry
from common.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from common.identifiers import uuid7
from datasets.freezing.versions import freeze
from registry.access import make_roles
from registry.logged import outcomes
from registry.logged.outcomes import Entry, send, send_many
from registry.models import Outcome, Touched
from tests.registry.logged.cast import CAT, classifier, logged, regressor
from tests.world import make_dataset, make_version


@pytest.fixture
def version(owner):
    return classifier(owner)


@pytest.mark.parametrize(("truth", "correct"), [("cat", True), ("dog", False), (3, False)])
def test_a_class_is_right_or_wrong(owner, version, truth, correct):
    row = send(owner, logged(version, owner, group="north").pk, truth=truth).outcome
    assert (row.correct, row.error, row.truth, row.group, row.version) == (correct, None, str(truth), "north", version)


def test_a_class_that_the_version_never_learned_counts_as_wrong_and_is_said(owner):
    learned = freeze(make_dataset(owner), owner)
    type(learned).objects.filter(pk=learned.pk).update(classes=["cat", "dog"])
    version = classifier(owner, dataset_version=learned)
    ids = [logged(version, owner).pk for _ in range(3)]
    odd, fine, right = send_many(owner, [Entry(ids[0], "Cat"), Entry(ids[1], "dog"), Entry(ids[2], "cat")])
    assert (odd.outcome.correct, odd.status, fine.note, right.note) == (False, "recorded", "", "")
    assert "no class 'Cat'" in odd.note and "It knows cat, dog." in odd.note
    assert send(owner, ids[0], truth="cat", replace=True).note == ""


def test_a_number_is_off_by_predicted_less_true(owner):
    prediction = logged(regressor(owner), owner, {"value": 10.0})
    row = send(owner, prediction.pk, truth=12.5).outcome
    assert (row.correct, row.error, row.truth, row.predicted_at) == (None, -2.5, 12.5, prediction.at)


def test_a_forecast_is_off_by_so_much_on_average(owner):
    version = make_version(owner, "Ahead", "forecast")
    prediction = logged(version, owner, {"forecast": [{"value": 10.0}, {"value": 20.0}, {"value": 30.0}]})
    assert send(owner, prediction.pk, truth=[12.0, None, 29.0]).outcome.error == 1.5
    with pytest.raises(InvalidInputError, match="3 steps"):
        send(owner, prediction.pk, truth=[1, 2, 3, 4])


def test_an_anomaly_is_one_or_not(owner):
    version = make_version(owner, "Odd", "anomaly")
    output = {"rows": [{"score": 3.0, "threshold": 2.0, "is_anomaly": True}]}
    assert send(owner, logged(version, owner, output, []).pk, truth=False).outcome.correct is False


@pytest.mark.parametrize("truth", [True, 1.5, [], {}, "", "  "])
def test_a_truth_of_another_kind_is_refused_in_words(owner, version, truth):
    with pytest.raises(InvalidInputError, match="'cat'") as error:
        send(owner, logged(version, owner).pk, truth=truth)
    assert error.value.hint
    with pytest.raises(InvalidInputError, match="number"):
        send(owner, logged(regressor(owner), owner, {"value": 1.0}).pk, truth="12")


def test_where_nothing_can_be_true_feedback_can_be_given(owner):
    prediction = logged(make_version(owner), owner, {"text": "Once", "completion": ""})
    with pytest.raises(InvalidInputError) as error:
        send(owner, prediction.pk, truth="good")
    assert "value" in error.value.hint
    assert send(owner, prediction.pk, value=1).outcome.value == 1
    with pytest.raises(InvalidInputError):
        send(owner, prediction.pk)
    with pytest.raises(InvalidInputError):
        send(owner, prediction.pk, value=float("nan"))


def test_the_same_again_changes_nothing_and_another_is_refused_unless_it_replaces(owner, version):
    pk = logged(version, owner).pk
    assert [send(owner, pk, truth="dog").status for _ in range(2)] == ["recorded", "unchanged"]
    with pytest.raises(ConflictError, match="dog"):
        send(owner, pk, truth="cat")
    assert send(owner, pk, value=0.5).status == "recorded", "feedback beside the truth"
    told = send(owner, pk, truth="cat", replace=True)
    assert (told.status, told.outcome.correct, told.outcome.value) == ("replaced", True, 0.5)
    entry = AuditEntry.objects.get(verb="replaced an outcome")
    assert (entry.actor_name, entry.object_id) == ("alice", str(pk)) and '"dog"' in entry.details
    assert Outcome.objects.get().truth == "cat"


def test_many_are_told_each_on_its_own(owner, version):
    first, second = logged(version, owner).pk, logged(version, owner).pk
    entries = [Entry(first, "cat"), Entry(uuid4(), "cat"), Entry(second, 1.5), Entry(first, "cat"), Entry(first, "dog")]
    told = send_many(owner, entries)
    assert [one.status for one in told] == ["recorded", "refused", "refused", "unchanged", "refused"]
    assert [type(one.problem) for one in told] == [
        type(None), NotFoundError, InvalidInputError, type(None), ConflictError,
    ]  # fmt: skip
    for wrong in ([], [Entry(first, "cat")] * 1001):
        with pytest.raises(InvalidInputError):
            send_many(owner, wrong)


def test_many_cost_as_many_queries_as_few(owner, version, django_assert_max_num_queries):
    pks = [logged(version, owner).pk for _ in range(30)]
    with django_assert_max_num_queries(12):
        send_many(owner, [Entry(pk, "cat") for pk in pks])


def test_only_those_send_who_made_the_prediction_or_may_see_it(owner, stranger, version, django_user_model):
    pk = logged(version, owner).pk
    with pytest.raises(NotFoundError):
        send(stranger, pk, truth="cat")
    assert send(stranger, logged(version, stranger).pk, truth="cat").status == "recorded"
    make_roles()
    approver = django_user_model.objects.create_user("carol")
    approver.groups.add(Group.objects.get(name="Approvers"))
    with pytest.raises(ForbiddenError, match="predictions"):
        send(approver, pk, truth="cat")
    assert Outcome.objects.count() == 1


def test_a_prediction_that_is_still_on_its_way_is_waited_for(owner, version, monkeypatch):
    pk = uuid7()

    def arrives(seconds):
        row = logged(version, owner)
        type(row).objects.filter(pk=row.pk).update(id=pk)

    monkeypatch.setattr(outcomes.time, "sleep", arrives)
    assert send(owner, pk, truth="cat").status == "recorded"
    waited = []
    monkeypatch.setattr(outcomes.time, "sleep", waited.append)
    for unknown in (uuid4(), uuid7()):
        with pytest.raises(NotFoundError, match=str(unknown)):
            send(owner, unknown, truth="cat")
    assert len(waited) == 3, "an id of long ago, or of no time at all, is not waited for"


def test_the_answers_of_shadows_get_the_same_truth(owner, version):
    given = logged(version, owner)
    shadow = logged(
        make_version(owner, "Sorter", "text-classification"), owner, {**CAT, "label": "dog"}, shadow_of=given.pk
    )
    failed = logged(version, owner, error="No process.", shadow_of=given.pk)
    send(owner, given.pk, truth="cat", value=1)
    rows = {row.pk: row for row in Outcome.objects.all()}
    assert set(rows) == {given.pk, shadow.pk} and failed.pk not in rows
    assert (rows[shadow.pk].correct, rows[shadow.pk].value) == (False, None), "what people think is of what they got"
    send(owner, given.pk, truth="dog", replace=True)
    assert Outcome.objects.get(pk=shadow.pk).correct is True


def test_the_truth_marks_the_hour_of_its_prediction(owner, version):
    prediction = logged(version, owner)
    Touched.objects.all().delete()
    send(owner, prediction.pk, truth="cat")
    assert Touched.objects.get().since == prediction.at.replace(minute=0, second=0, microsecond=0)
    send(owner, prediction.pk, truth="cat")
    assert Touched.objects.count() == 1


@pytest.mark.parametrize("huge", [10**400, -(10**400), 1e300])
def test_a_number_that_nothing_can_be_reckoned_with_is_refused(owner, huge):
    prediction = logged(regressor(owner), owner, {"value": 10.0})
    for entry in ({"truth": huge}, {"value": huge}):
        with pytest.raises(InvalidInputError):
            send(owner, prediction.pk, **entry)


def test_of_two_truths_at_the_same_moment_one_is_refused(owner, version, monkeypatch):
    pk = logged(version, owner).pk
    create = Outcome.objects.bulk_create

    def another_was_faster(rows, **how):
        if not Outcome.objects.exists():
            Outcome.objects.create(
                prediction_id=pk, model_id=version.model_id, version=version, predicted_at=rows[0].predicted_at,
                at=rows[0].at.replace(year=2020), truth="dog", correct=False,
            )  # fmt: skip
        return create(rows, **how)

    monkeypatch.setattr(Outcome.objects, "bulk_create", another_was_faster)
    with pytest.raises(ConflictError, match="dog"):
        send(owner, pk, truth="cat")
    assert Outcome.objects.get().truth == "dog"
