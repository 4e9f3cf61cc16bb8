"""A trained result becomes the next version of its line."""

import threading

import pytest
from django.db import connection

from common.errors import InvalidInputError
from registry.models import Model, ModelVersion
from tests.world import make_version


def test_versions_of_a_line_are_numbered_from_one(owner):
    assert [make_version(owner).number for _ in range(3)] == [1, 2, 3]
    assert Model.objects.get().versions.count() == 3


def test_a_name_that_another_recipe_has_gets_a_number(owner):
    make_version(owner, "Teller", "text-generation")
    other = make_version(owner, "Teller", "image-classification")
    third = make_version(owner, "Teller", "simulate")
    assert (other.model.name, third.model.name) == ("Teller 2", "Teller 3")
    assert make_version(owner, "Teller", "image-classification").number == 2


def test_a_name_for_another_subject_is_another_line(owner):
    from datasets.subjects.subjects import create as create_subject

    make_version(owner)
    assert make_version(owner, subject=create_subject(owner, name="Ada")).model.name == "Teller 2"


def test_two_people_may_use_one_name(owner, stranger):
    assert make_version(owner).model != make_version(stranger).model


def test_the_longest_name_still_gets_its_number(owner):
    make_version(owner, "n" * 200)
    name = make_version(owner, "n" * 200, "simulate").model.name
    assert (len(name), name[-2:]) == (200, " 2")


def test_a_given_model_is_used_whatever_the_name(owner):
    first = make_version(owner)
    assert make_version(owner, "Another", model=first.model).number == 2


def test_a_job_has_one_version(owner):
    assert make_version(owner, source_job_id=5) == make_version(owner, source_job_id=5)
    assert ModelVersion.objects.count() == 1


def test_what_is_not_finite_is_stored_as_nothing(owner):
    version = make_version(owner, metrics={"a": float("nan"), "b": [float("inf"), 1.0]})
    version.refresh_from_db()
    assert version.metrics == {"a": None, "b": [None, 1.0]}


@pytest.mark.parametrize(
    "file",
    [
        {"name": "../x", "sha256": "0" * 64, "bytes": 1},
        {"name": "/etc/passwd", "sha256": "0" * 64, "bytes": 1},
        {"name": ".hidden", "sha256": "0" * 64, "bytes": 1},
        {"name": "a/b", "sha256": "0" * 64, "bytes": 1},
        {"name": "a\n", "sha256": "0" * 64, "bytes": 1},
        {"name": "a", "sha256": "../../etc", "bytes": 1},
        {"name": "a", "sha256": "0" * 64, "bytes": -1},
        {"name": "a", "sha256": "0" * 64, "bytes": "1"},
        {},
    ],
)
def test_a_file_with_a_strange_description_is_refused(owner, file):
    with pytest.raises(InvalidInputError):
        make_version(owner, artifact=[file])
    assert not Model.objects.exists()


def test_a_file_named_twice_is_refused(owner):
    file = {"name": "a", "sha256": "0" * 64, "bytes": 1}
    with pytest.raises(InvalidInputError):
        make_version(owner, artifact=[file, file])


@pytest.mark.django_db(transaction=True)
def test_runs_that_end_at_once_get_different_numbers(django_user_model):
    owner = django_user_model.objects.create_user("alice", password="x")

    def finish():
        make_version(owner)
        connection.close()

    threads = [threading.Thread(target=finish) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ModelVersion.objects.values_list("number", flat=True)) == [1, 2, 3, 4, 5, 6]
    assert Model.objects.count() == 1
