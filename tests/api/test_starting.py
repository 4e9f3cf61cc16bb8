"""Who can be trained, what it takes, and one request for a hundred subjects."""

from __future__ import annotations

import time

import pytest

from datasets.models import Subject
from datasets.subjects import subjects
from datasets.subjects.eligibility import save_policy
from jobs.models import Job, JobTemplate, Limit
from tests.jobs.test_estimates import ran
from tests.world import make_dataset

WORDS = b"word " * 30
KEY = {"Idempotency-Key": "once"}


def ready(owner, name, **more):
    """A subject with a dataset of texts that is enough for the default policy."""
    subject = subjects.create(owner, name=name, **more)
    dataset = make_dataset(owner, f"Texts of {name}", {f"{name}/1.txt": WORDS, f"{name}/2.txt": b"more " * 30})
    dataset.subject = subject
    dataset.save()
    return subject


def test_the_list_says_who_can_be_trained_and_why_not(alice, owner):
    ada, bob = ready(owner, "Ada", kind="person"), subjects.create(owner, name="Bob")
    make_dataset(owner, "Theirs", {"x/1.txt": b"short"})
    listed = alice.get("training/eligible-subjects").json()
    assert (listed["count"], listed["eligible_count"]) == (2, 1)
    of_ada, of_bob = listed["results"]
    assert (of_ada["eligible"], of_ada["ready"], of_ada["responses"], of_ada["words"]) == (True, True, 2, 60)
    assert of_ada["estimate"]["reason"] == "no past run to compare with"
    assert of_bob["reasons"] == [
        "needs 2 responses, has none",
        "needs 50 words, has none",
        "needs 1 category, has none",
    ]
    assert alice.get("training/eligible-subjects?eligible=true").json()["results"][0]["id"] == ada.pk
    assert alice.get("training/eligible-subjects?eligible=false").json()["results"][0]["id"] == bob.pk
    images = alice.get("training/eligible-subjects?recipe=image-classification&search=ada").json()["results"][0]
    assert (images["eligible"], images["ready"]) == (True, False)
    assert images["obstacle"].startswith("No ready dataset of image is about it")
    save_policy(name="Much", criteria={"words": 1000})
    much = alice.get("training/eligible-subjects?policy=Much&ordering=-words").json()
    assert much["results"][0]["reasons"] == ["needs 1,000 words, has 60"]
    assert alice.get("training/eligible-subjects?policy=None").status_code == 404
    assert alice.get("training/eligible-subjects?page=2").status_code == 404
    second = alice.get("training/eligible-subjects?page=2&page_size=1").json()
    assert (second["results"][0]["id"], second["next"]) == (bob.pk, None)
    assert "page=1" in second["previous"]


def test_each_subject_gets_a_job_or_is_told_why_not(alice, owner):
    ada, bob, eve = ready(owner, "Ada"), subjects.create(owner, name="Bob"), ready(owner, "Eve")
    config = {"steps": 5, "layers": 1, "width": 16, "heads": 2, "block_size": 16}
    asked = {"subjects": [ada.pk, bob.pk, eve.pk], "recipe": "text-generation", "config": config}
    answer = alice.post_json("training/start", asked, headers=KEY)
    assert answer.status_code == 201
    body = answer.json()
    assert (body["started"], body["refused"]) == (2, 1)
    assert [one["subject"] for one in body["results"]] == [ada.pk, bob.pk, eve.pk]
    refused = body["results"][1]
    assert refused["job"] is None
    assert refused["message"].startswith("'Bob' needs 2 responses, has none, and needs 50 words")
    assert "policy 'Development default'" in refused["hint"]
    job = Job.objects.get(pk=body["results"][0]["job"])
    assert (job.subject, job.owner, job.config["steps"], job.name) == (ada, owner, 5, "Text generation: Ada")
    assert job.dataset_version.dataset.name == "Texts of Ada"
    # The same request again makes nothing; another with the same key is refused; without a key they are busy.
    again = alice.post_json("training/start", asked, headers=KEY)
    assert again.status_code == 200
    assert [one["job"] for one in again.json()["results"]] == [one["job"] for one in body["results"]]
    other = alice.post_json("training/start", asked | {"config": {}}, headers=KEY).json()
    assert "used before" in other["results"][0]["message"]
    busy = alice.post_json("training/start", asked).json()
    assert (busy["started"], busy["refused"]) == (0, 3)
    assert busy["results"][0]["message"] == f"Job {job.pk} 'Text generation: Ada' is queued for it."
    assert Job.objects.count() == 2


def test_limits_of_users_and_subjects_are_kept(alice, owner):
    first, second, third = (ready(owner, name) for name in "abc")
    Limit.objects.create(subject=first, max_active=0)
    Limit.objects.create(user=owner, max_active=1)
    asked = {"subjects": [first.pk, second.pk, third.pk], "recipe": "simulate"}
    results = alice.post_json("training/start", asked).json()["results"]
    assert [one["job"] is not None for one in results] == [False, True, False]
    assert "The subject 'a' has 0 jobs" in results[0]["message"]
    assert "alice has 1 job waiting or running" in results[2]["message"]


def test_a_template_lends_recipe_and_settings(alice, owner):
    ada = ready(owner, "Ada")
    kept = JobTemplate.objects.create(
        owner=owner, name="Long", request={"recipe": "simulate", "config": {"steps": 7}, "priority": 9, "name": "x"}
    )
    made = alice.post_json("training/start", {"subject": ada.pk, "template": kept.pk, "config": {"memory": 3}})
    job = Job.objects.get(pk=made.json()["results"][0]["job"])
    assert (job.recipe, job.config["steps"], job.config["memory"], job.priority) == ("simulate", 7, 3, 9)


def test_two_datasets_of_a_subject_are_not_guessed_between(alice, owner):
    ada = ready(owner, "Ada")
    other = make_dataset(owner, "More texts", {"a/1.txt": WORDS})
    other.subject = ada
    other.save()
    result = alice.post_json("training/start", {"subject": ada.pk, "recipe": "text-generation"}).json()["results"][0]
    assert "2 datasets of text are about it ('Texts of Ada', 'More texts')" in result["message"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"recipe": "simulate"}, {"recipe": "simulate", "subjects": []}, {"subject": 1, "subjects": [1]},
        {"subjects": list(range(1, 502)), "recipe": "simulate"}, {"subject": "ada", "recipe": "simulate"},
    ],
)  # fmt: skip
def test_requests_that_name_nobody_or_too_many(alice, wrong):
    assert alice.post_json("training/start", wrong).status_code == 400


def test_wrong_settings_are_refused_as_a_whole(alice, owner, stranger):
    ada = ready(owner, "Ada")
    theirs = subjects.create(stranger, name="Eve")
    assert alice.post_json("training/start", {"subject": ada.pk}).status_code == 400
    wrong = {"subject": ada.pk, "recipe": "simulate", "config": {"steps": 0}}
    assert "config.steps" in alice.post_json("training/start", wrong).json()["errors"]
    both = {"subjects": [ada.pk, theirs.pk], "recipe": "simulate"}
    assert alice.post_json("training/start", both).status_code == 404
    assert not Job.objects.exists()


def test_an_administrator_starts_for_others_whose_job_it_is(staff, owner):
    ada = ready(owner, "Ada")
    staff.post_json("training/start", {"subject": ada.pk, "recipe": "simulate"})
    assert Job.objects.get().owner == owner


def test_a_hundred_subjects_in_one_request(alice, owner):
    save_policy(name="None", criteria={}, is_default=True)
    Subject.objects.bulk_create(Subject(owner=owner, name=f"s{n}") for n in range(100))
    keys = list(Subject.objects.values_list("pk", flat=True))
    started = time.perf_counter()
    answer = alice.post_json("training/start", {"subjects": keys, "recipe": "simulate"}, headers=KEY)
    print(f"100 subjects: {time.perf_counter() - started:.2f} s")
    assert answer.json()["started"] == 100
    assert Job.objects.values("subject").distinct().count() == 100


def test_an_estimate_for_data_or_for_subjects(alice, owner, mallory):
    body = {"recipe": "simulate", "config": {"steps": 200}}
    assert alice.post_json("training/estimate", body).json()["seconds"] is None
    ran(owner, 10)
    guess = alice.post_json("training/estimate", body).json()
    assert guess["seconds"] == pytest.approx(20)
    assert guess["words"].startswith("about 20 s (")
    people = [subjects.create(owner, name=name).pk for name in ("Ada", "Bob")]
    both = alice.post_json("training/estimate", body | {"subjects": people}).json()
    assert both["seconds"] == pytest.approx(40)
    assert set(both["subjects"]) == {str(key) for key in people}
    dataset = make_dataset(owner)
    texts = {"recipe": "text-generation", "dataset": dataset.pk}
    assert alice.post_json("training/estimate", texts).json()["reason"]
    assert alice.post_json("training/estimate", texts | {"recipe": "image-classification"}).status_code == 400
    assert mallory.post_json("training/estimate", texts).status_code == 404
    assert mallory.post_json("training/estimate", body | {"subjects": people}).status_code == 404
    assert alice.post_json("training/estimate", body | {"config": {"steps": -1}}).status_code == 400


def test_ten_thousand_subjects_are_listed_in_few_queries(alice, owner, django_assert_max_num_queries):
    Subject.objects.bulk_create((Subject(owner=owner, name=f"s{n:05}") for n in range(10_000)), batch_size=2000)
    with django_assert_max_num_queries(12):
        started = time.perf_counter()
        listed = alice.get("training/eligible-subjects?page=200").json()
        print(f"10,000 subjects on the API: {time.perf_counter() - started:.2f} s")
    assert listed["count"] == 10_000
    assert listed["results"][-1]["name"] == "s09999"
