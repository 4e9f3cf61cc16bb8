"""A template says what must be given anew and what stays; whoever starts from it is held to that at every door."""

import pytest
from django.utils import timezone

from common.errors import InvalidInputError
from datasets.freezing import versions
from datasets.subjects import subjects
from jobs import blueprints, schedules, starting
from jobs.models import Job, JobTemplate, Schedule
from tests.world import make_dataset

SIMULATE = {"recipe": "simulate", "config": {"steps": 7}, "seed": 5, "name": "Small"}
HOURLY = {"kind": "every", "minutes": 60}


def make_template(owner, name="Ruled", request=SIMULATE, **rules):
    return blueprints.save(owner, name, request, **rules)


@pytest.mark.parametrize(
    ("rules", "field", "words"),
    [
        ({"required": ["config.stepz"]}, "required", "'config.stepz' is nothing"),
        ({"locked": ["recipe"]}, "locked", "'recipe' is nothing"),
        ({"locked": ["dataset"]}, "locked", "'dataset' is nothing"),  # simulate uses no data
        ({"required": ["seed"], "locked": ["seed"]}, "locked", "'Seed' can't be both"),
        ({"locked": ["subject"]}, "locked", "'Subject' has no value to keep"),
        ({"required": ["priority"]}, "required", "'Priority' has a value in any case"),
    ],
)
def test_rules_that_mean_nothing_or_contradict_each_other_are_refused(owner, rules, field, words):
    with pytest.raises(InvalidInputError) as refused:
        make_template(owner, **rules)
    assert list(refused.value.fields) == [field]
    assert words in refused.value.message
    assert not JobTemplate.objects.exists()


def test_what_is_required_must_be_given_and_what_is_locked_stays(owner):
    template = make_template(owner, required=["seed", "config.memory"], locked=["config.steps", "name"])
    now = timezone.now()
    with pytest.raises(InvalidInputError) as refused:
        blueprints.start_from(template, {"config": {"steps": 8}}, now)
    assert set(refused.value.fields) == {"seed", "config.memory", "config.steps"}
    assert "asks for 'Seed' and" in refused.value.message and "locks 'Steps'" in refused.value.message
    job = blueprints.start_from(template, {"seed": 9, "config": {"memory": 3, "steps": 7}}, now)
    assert (job.seed, job.config["memory"], job.config["steps"], job.name) == (9, 3, 7, "Small")
    assert Job.objects.count() == 1


def test_a_locked_value_may_be_repeated_in_another_writing(owner):
    template = make_template(owner, locked=["config.steps", "seed"])
    assert blueprints.start_from(template, {"config": {"steps": "7"}, "seed": 5}, timezone.now()).config["steps"] == 7
    with pytest.raises(InvalidInputError):
        blueprints.start_from(template, {"config": {"steps": "many"}}, timezone.now())


def test_the_rules_keep_the_recipe(owner):
    template = make_template(owner, locked=["seed"])
    with pytest.raises(InvalidInputError) as refused:
        blueprints.start_from(template, {"recipe": "generate"}, timezone.now())
    assert "recipe" in refused.value.fields


def test_a_dataset_that_is_asked_for_may_be_missing_in_the_template_and_a_version_counts_as_one(owner):
    request = {"recipe": "text-generation"}
    with pytest.raises(InvalidInputError):
        make_template(owner, request=request)
    template = make_template(owner, request=request, required=["dataset"])
    with pytest.raises(InvalidInputError) as refused:
        blueprints.start_from(template, {}, timezone.now())
    assert set(refused.value.fields) == {"dataset"}
    frozen = versions.freeze(make_dataset(owner), owner)
    assert blueprints.start_from(template, {"dataset_version": frozen.pk}, timezone.now()).dataset_version == frozen
    with pytest.raises(InvalidInputError, match="needs a dataset"):
        blueprints.change(template, required=[])


def test_a_schedule_asks_nobody(owner):
    template = make_template(owner, required=["seed"])
    with pytest.raises(InvalidInputError, match="asks for 'Seed' anew, and there is nobody to ask"):
        schedules.create(owner, name="Nightly", rule=HOURLY, zone="UTC", template=template)
    template = blueprints.change(template, required=[], locked=["seed"])
    row = schedules.create(owner, name="Nightly", rule=HOURLY, zone="UTC", template=template, overlap="queue")
    with pytest.raises(InvalidInputError, match="it is used by the schedule 'Nightly'"):
        blueprints.change(template, required=["seed"], locked=[])
    assert schedules.run_now(row, owner).seed == 5
    JobTemplate.objects.update(required=["seed"], locked=[])  # as if both had happened at once
    with pytest.raises(InvalidInputError, match="asks for 'Seed' anew"):
        schedules.run_now(Schedule.objects.get(), owner)


def test_jobs_for_many_subjects_are_held_to_the_rules(owner):
    ada = subjects.create(owner, name="Ada")
    named = make_template(owner, "Named", locked=["name"])
    with pytest.raises(InvalidInputError, match="locks 'Name'; each subject has its own"):
        starting.start(owner, [ada], template=named)
    asking = make_template(owner, "Asking", required=["subject", "seed"], locked=["config.steps"])
    for given in ({}, {"seed": 3, "config": {"steps": 8}}):
        with pytest.raises(InvalidInputError, match="The template 'Asking'"):
            starting.start(owner, [ada], template=asking, **given)
    assert starting.start(owner, [ada], template=asking, seed=3)[0].subject == ada
