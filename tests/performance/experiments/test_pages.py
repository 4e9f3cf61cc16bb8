"""Pages of experiments: begun by a form, read in words, ended by buttons, and no dearer for many predictions."""

from __future__ import annotations

import html
import re

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from performance.experiments import live, looking, overview
from performance.models import Experiment
from registry import access
from registry.models import ModelVersion, RouteArm
from tests.performance.experiments.conftest import answer, judged
from tests.world import make_user

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def page(client, owner):
    client.force_login(owner)
    return client


@pytest.fixture
def typed(versions):
    """The form as it is sent, with one version ticked."""
    return {
        "model": versions[0].model_id, "kind": "ab", "metric": "correct", f"arm-{versions[1].pk}": "on",
        f"arm-{versions[1].pk}.weight": "2", f"arm-{versions[0].pk}.weight": "3", "expected": "4000", "margin": "2",
        "minimum": "100", "max_days": "14", "alpha": "0.05", "name": "Second try", "key": "k1",
    }  # fmt: skip


def text(response) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", response.content.decode())))


def test_the_form_begins_one_however_often_it_is_sent(page, typed):
    answer = page.post("/performance/experiments/new", typed)
    row = Experiment.objects.get()
    assert answer.url == f"/performance/experiments/{row.pk}"
    assert page.post("/performance/experiments/new", typed).url == answer.url
    assert (row.name, row.expected, row.margin, row.max_days) == ("Second try", 4000, 0.02, 14)
    assert [arm.weight for arm in looking.arms_of(row)] == [3, 2]


def test_the_form_says_what_is_wrong_and_keeps_what_was_typed(page, typed, versions):
    answer = page.post("/performance/experiments/new", typed | {"expected": "few", "name": "Kept"})
    assert answer.status_code == 400
    assert "whole number from 100" in text(answer) and 'value="Kept"' in answer.content.decode()
    without = {name: value for name, value in typed.items() if not name.startswith("arm-")}
    assert "Choose 1 to 4 versions" in text(page.post("/performance/experiments/new", without))
    assert "Choose a model" in text(page.post("/performance/experiments/new", {}))
    assert not Experiment.objects.exists()


def test_the_form_says_how_long_it_will_take_by_the_last_week(page, typed, begun):
    assert "how long it takes is not known" in text(page.get("/performance/experiments/new", typed))
    control, _ = looking.arms_of(begun())
    judged(control, 700, 350)
    shown = text(page.get("/performance/experiments/new", typed))
    assert "At 100 outcomes a day, as in the last 7 days, 4,000 take about 40 days." in shown
    assert "They tell differences of about 3.8 points apart" in shown


def test_the_choice_of_a_shadow_leaves_out_what_nobody_can_know(page, typed):
    shown = page.get("/performance/experiments/new", typed | {"kind": "shadow"}, headers=HTMX).content.decode()
    assert "metric-correct" in shown and "metric-feedback_mean" not in shown and ".weight" not in shown


def test_the_page_tells_the_verdict_and_what_it_rests_on(page, begun, promotion):
    row = begun()
    control, variant = looking.arms_of(row)
    for right in (30, 31):
        judged(control, 60, right)
        judged(variant, 60, right + 2)
        looking.look(row.pk)
    shown = text(page.get(f"/performance/experiments/{row.pk}"))
    assert "v2 and v1 can't be told apart yet" in shown and "as the weights say" in shown
    assert "score test of two proportions" in shown and "Where it lies, at all looks together" in shown
    judged(control, 400, 100)
    judged(variant, 400, 300)
    looking.look(row.pk)
    shown = text(page.get(f"/performance/experiments/{row.pk}"))
    assert "v2 is better than v1" in shown and "Promote v2" in shown and "Look now" not in shown
    assert page.post(f"/performance/experiments/{row.pk}/promote").url == f"/performance/experiments/{row.pk}"
    assert promotion.promoted[0][0] == variant.version
    assert "v2 is better" in text(page.get("/performance/experiments"))


def test_what_is_amiss_with_an_arm_stands_on_the_page(page, begun, versions):
    row = begun((1,), kind="shadow")
    RouteArm.objects.filter(shadow=True).update(dropped=7, failed=2)
    ModelVersion.objects.filter(pk=versions[1].pk).update(damaged_at=timezone.now())
    shown = text(page.get(f"/performance/experiments/{row.pk}"))
    assert "did not get 7 inputs" in shown and "could not answer 2" in shown
    assert "can't answer now (ready, damaged). It gets no copies meanwhile." in shown


def test_stopping_asks_first_and_is_done_once(page, begun):
    row = begun()
    address = f"/performance/experiments/{row.pk}/stop"
    assert "there is no verdict" in text(page.get(address))
    assert Experiment.objects.get().status == "running"
    page.post(address)
    assert Experiment.objects.get().status == "stopped"
    assert "has ended: stopped" in text(page.post(address, follow=True))
    assert page.post(f"/performance/experiments/{row.pk}/dance").status_code == 404


def test_the_list_is_searched_filtered_and_exported(page, begun, owner):
    row = begun(name="Needle")
    shown = {"?search=need", "?search=sorter", f"?model={row.model_id}"}
    for query in (*shown, "?status=decided", "?search=x"):
        found = text(page.get(f"/performance/experiments{query}", headers=HTMX))
        assert ("Needle" in found) == (query in shown), query
    table = b"".join(page.get("/performance/experiments?export=csv").streaming_content).decode()
    assert "Needle,Sorter,ab,correct,running" in table


def test_who_only_looks_on_reads_it_and_is_refused_in_words(client, begun, typed):
    access.make_roles()
    ann = make_user("ann")
    ann.groups.add(Group.objects.get(name="Analysts"))
    client.force_login(ann)
    row = begun()
    address = f"/performance/experiments/{row.pk}"
    shown = client.get(address)
    assert shown.status_code == 200 and b"stop-experiment" not in shown.content
    for verb in ("stop", "look", "promote"):
        refused = client.post(f"{address}/{verb}", headers=HTMX)
        assert refused.status_code == 403 and "Release managers" in refused.content.decode(), verb
    assert client.post("/performance/experiments/new", typed).status_code == 403
    assert Experiment.objects.get().status == "running"


def test_a_stranger_finds_nothing(client, stranger, begun, typed):
    row = begun()
    client.force_login(stranger)
    for verb in ("stop", "look", "promote"):
        assert client.post(f"/performance/experiments/{row.pk}/{verb}").status_code == 404
    assert client.get(f"/performance/experiments/{row.pk}").status_code == 404
    assert client.post("/performance/experiments/new", typed).status_code == 404
    assert row.name not in client.get("/performance/experiments").content.decode()


def test_the_page_reads_no_predictions_and_takes_the_same_queries_for_many_looks(page, begun):
    row = begun((1, 2, 3))
    arms = looking.arms_of(row)

    def asked() -> list[str]:
        page.get(f"/performance/experiments/{row.pk}")
        with CaptureQueriesContext(connection) as queries:
            assert page.get(f"/performance/experiments/{row.pk}").status_code == 200
        return [query["sql"] for query in queries]

    before = asked()
    for _ in range(3):
        for arm in arms:
            judged(arm, 60, 30)
        looking.look(row.pk)
    after = asked()
    assert len(after) == len(before) <= 14
    assert not any("registry_prediction" in sql or "registry_outcome" in sql for sql in after)


def test_the_list_takes_the_same_queries_for_many(page, begun, owner):
    from performance.experiments import verbs

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            page.get("/performance/experiments")
        return len(queries)

    verbs.stop(begun(), owner)
    page.get("/performance/experiments")
    before = asked()
    for _ in range(4):
        verbs.stop(begun(), owner)
    assert asked() == before


def test_an_open_page_is_told_of_each_look_and_of_the_end(begun, owner):
    row = begun()
    source = live.ExperimentSource.open(owner, str(row.pk), {"seen": live.seen(row)})
    assert source.topics == (f"experiment.{row.pk}",) and source.snapshot() == []
    answer(looking.arms_of(row)[0], 3)
    looking.look(row.pk)
    assert [message.event for message in source.update()] == ["items"]
    assert source.update() == []
    late = live.ExperimentSource.open(owner, str(row.pk), {"seen": "running-0"})
    assert [message.event for message in late.snapshot()] == ["items"]


def test_traffic_is_counted_to_a_limit(begun, monkeypatch):
    control, _ = looking.arms_of(begun())
    judged(control, 140, 0)
    model = control.version.model
    assert overview.outcomes_a_day(model) == overview.answers_a_day(model) == pytest.approx(20)
    monkeypatch.setattr(overview, "COUNTED", 100)
    assert overview.answers_a_day(model) > 2000  # a hundred in the last ten minutes
