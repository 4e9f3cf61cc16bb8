"""The page of automatic training, and what other pages show of it."""

import pytest

from common.errors import NotFoundError
from datasets.creation import create_dataset
from datasets.subjects.subjects import create as create_subject
from jobs import tasks
from jobs.automatic import settings as automatic
from jobs.automatic.live import AutomaticSource
from jobs.models import AutomaticTraining, FineTuning, Job
from tests.generating import keep, make_generating, make_rule, session_of
from tests.world import make_version


@pytest.fixture
def page(client, owner):
    client.force_login(owner)
    return client


@pytest.fixture
def stories(owner):
    return create_dataset(owner, name="Stories", modality="text")[0]


def form(stories, **more):
    return {
        "genres": "Sea", "prompts": "Write of {genre}.", "generators": "", "judge": "measures",
        "minimum_quality": "6,5", "examples": "40", "dataset": str(stories.pk), "threshold": "5", "template": "",
        "recipe": "text-generation",
        "base_version": "", "enabled": "1", "subject": "",
    } | more  # fmt: skip


def text_of(answer):
    return answer.content.decode()


def test_settings_are_saved_by_the_page_and_shown_again(page, owner, stories):
    assert "Nothing is counted yet" in text_of(page.get("/automatic"))
    answer = text_of(page.post("/automatic", form(stories), follow=True))
    assert "starts with 5 new examples in &#x27;Stories&#x27;" in answer
    rule = AutomaticTraining.objects.get()
    assert (rule.owner, rule.dataset, rule.threshold, rule.minimum_quality, rule.enabled) == (
        owner, stories, 5, 6.5, True,
    )  # fmt: skip
    assert "<b>0</b> of 5 new examples until the next fine-tuning" in answer
    page.post("/automatic", form(stories, enabled=""))
    rule.refresh_from_db()
    assert not rule.enabled
    assert "it is switched off" in text_of(page.get("/automatic"))


def test_what_is_wrong_stands_at_its_own_field_and_what_was_typed_stays(page, stories):
    wrong = form(stories, threshold="many", examples="0", prompts="{secret} tale", generators="nobody")
    answer = page.post("/automatic", wrong)
    text = text_of(answer)
    assert answer.status_code == 400 and "{secret} tale" in text and 'value="many"' in text
    for name in ("threshold", "examples", "prompts"):
        assert f'id="{name}-error"' in text, name
    assert not AutomaticTraining.objects.exists()
    assert 'id="generators-error"' in text_of(page.post("/automatic", form(stories, generators="nobody")))
    assert page.post("/automatic", form(stories, dataset="999999")).status_code == 404
    assert page.post("/automatic", form(stories, dataset="x", subject="")).status_code == 404


def test_a_subject_has_a_page_of_its_own_and_nobody_else_s(page, client, owner, stranger, stories):
    subject = create_subject(owner, name="Anna")
    assert ">Anna</option>" in text_of(page.get("/automatic"))
    page.post("/automatic", form(stories, subject=str(subject.pk), threshold="9"))
    assert AutomaticTraining.objects.get().subject == subject
    assert "of 9 new examples" in text_of(page.get(f"/automatic?subject={subject.pk}"))
    client.force_login(stranger)
    assert client.get(f"/automatic?subject={subject.pk}").status_code == 404
    assert client.post("/automatic", form(stories, subject=str(subject.pk))).status_code == 404
    assert client.post("/automatic/start", {"subject": str(subject.pk)}).status_code == 404


def test_a_run_is_started_by_a_button(page, owner, stories):
    automatic.change(owner, dataset=stories.pk)
    answer = text_of(page.post("/automatic/start", follow=True))
    assert "Nobody is named to write" in answer and not Job.objects.exists()
    automatic.change(owner, generators=f"version {make_version(owner).pk}")
    for _ in range(2):
        assert page.post("/automatic/start", {"key": "pressed"}).status_code == 302
    job = Job.objects.get()
    assert (job.recipe, job.save_to) == ("generate", stories)


def test_a_started_fine_tuning_is_shown_wherever_it_matters(page, owner, stories):
    rule, maker = make_rule(owner, stories), make_generating(owner, stories)
    keep(maker, 7)
    tasks.start_fine_tuning(rule.pk)
    made = FineTuning.objects.get()
    text = text_of(page.get("/automatic"))
    assert f'href="/jobs/{made.job_id}"' in text and f'href="/jobs/{maker.pk}"' in text and "its session" not in text
    assert "<b>2</b> of 5 new examples" in text
    assert "<b>2</b> of 5 new examples" in text_of(page.get(f"/jobs/{maker.pk}"))
    assert "<b>2</b> of 5 new examples" in text_of(page.get("/history"))
    assert "new examples" not in text_of(page.get("/history", headers={"HX-Request": "true"}))
    session = session_of(maker)
    assert f'href="/history/{session.pk}"' in text_of(page.get("/automatic"))
    text = text_of(page.get(f"/jobs/{made.job_id}"))
    assert "Fine-tuning 1: 5 new examples" in text and f'href="/history/{session.pk}"' in text
    assert "started by its examples" in text_of(page.get(f"/jobs/{maker.pk}"))


def test_a_refusal_is_told_with_what_to_do(page, owner, stories):
    rule = make_rule(owner, stories, recipe="image-classification")
    keep(make_generating(owner, stories), 5)
    tasks.start_fine_tuning(rule.pk)
    text = text_of(page.get("/automatic"))
    assert "The last try started nothing." in text and "trains on image" in text and "when you save" in text


def test_a_new_job_takes_the_defaults(page, owner, stories):
    automatic.change(owner, dataset=stories.pk, genres="Sea: 3\nLand")
    assert "defaults=mine" in text_of(page.get("/jobs/new?recipe=generate"))
    text = text_of(page.get("/jobs/new?recipe=generate&defaults=mine"))
    assert "Sea: 3\nLand" in text and f'value="{stories.pk}" selected' in text


def test_counting_for_a_page_costs_the_same_for_many_examples(page, owner, stories, django_assert_max_num_queries):
    rule = make_rule(owner, stories, enabled=False)
    keep(make_generating(owner, stories), 3)
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as few:
        page.get("/automatic")
    keep(make_generating(owner, stories, "More"), 40)
    with django_assert_max_num_queries(len(few)):
        assert "<b>5</b> of 5" in text_of(page.get("/automatic"))
    assert rule.pk


def test_mail_that_can_t_be_sent_is_not_offered(page, stories, settings):
    settings.EMAIL_HOST = ""
    assert "TRAINHUB_MAIL_HOST" in text_of(page.get("/automatic"))
    answer = page.post("/automatic", form(stories, tell_by_mail="1"))
    assert answer.status_code == 400 and 'id="mail-error"' in text_of(answer)


def test_the_open_page_is_told_of_examples_and_of_what_they_start(owner, stranger, stories):
    rule, maker = make_rule(owner, stories), make_generating(owner, stories)
    source = AutomaticSource.open(owner, str(rule.pk), {})
    source.snapshot()
    assert source.update() == []
    keep(maker, 4)
    (told,) = source.update()
    assert "<b>4</b> of 5" in told.data and "automatic-past" not in told.data
    keep(maker, 1)
    tasks.start_fine_tuning(rule.pk)
    (told,) = source.update()
    assert "<b>0</b> of 5" in told.data and "Fine-tuning 1" in told.data
    with pytest.raises(NotFoundError):
        AutomaticSource.open(stranger, str(rule.pk), {})
