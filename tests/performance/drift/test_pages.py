"""Pages of drift: verdicts in words, both sides drawn, what to do next; data for those who may see predictions."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group

from performance.drift import verbs
from performance.drift.live import DriftSource, seen
from performance.models import DriftCheck, DriftMonitor, Retraining
from registry.access import make_roles
from tests.performance.drift.made import log, sensor
from tests.performance.retrained import drift_check, make_line
from tests.world import make_drift


@pytest.fixture
def page(client, owner):
    client.force_login(owner)
    return client


def text(answer):
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_check_is_asked_for_on_the_page_and_its_verdict_is_shown(page, trained, django_assert_max_num_queries):
    log(trained, sensor(2, 1000, shift=3.0))
    assert "never checked" in text(page.get("/performance/drift"))
    answer = page.post(f"/performance/drift/models/{trained.model_id}/check", {"about": "inputs"}, follow=True)
    check = DriftCheck.objects.get()
    html = text(answer)
    assert "Waits for a worker" in html and f"/stream/drift/{check.pk}?seen=queued-0" in html
    verbs.run(check.pk)
    with django_assert_max_num_queries(12):
        html = text(page.get(f"/performance/drift/checks/{check.pk}"))
    for words in ("Moved", "1 input has moved", "Kolmogorov–Smirnov", "Machines v1", "What to do next",
                  f"/performance/retraining/models/{check.model_id}/now?check={check.pk}", "1,000"):  # fmt: skip
        assert words in html
    assert html.count('class="plot-field"') == 2 and html.count("bars pairs") == 1 and "stream/drift" not in html
    listed = text(page.get("/performance/drift"))
    assert "1 input has moved" in listed and "never checked" not in listed
    assert "1 input has moved" in text(page.get(f"/performance/drift/checks?model={trained.model_id}&verdict=moved"))
    assert "No check fits" in text(page.get("/performance/drift/checks?verdict=quiet"))


def test_a_check_goes_with_a_retraining_by_hand_and_shows_no_values(page, owner):
    model = make_line(owner)
    check = drift_check(model)
    DriftCheck.objects.filter(pk=check.pk).update(findings=[{"column": "speed", "picture": {"labels": ["secret"]}}])
    address = f"/performance/retraining/models/{model.pk}/now"
    assert f"check {check.pk} saw" in text(page.get(f"{address}?check={check.pk}"))
    other = drift_check(make_line(owner, "Others"))
    assert f"check {other.pk} saw" not in text(page.get(f"{address}?check={other.pk}"))
    page.post(address, {"key": "once", "check": check.pk})
    row = Retraining.objects.get()
    assert row.evidence["check"] == check.pk and row.evidence["findings"] == [{"column": "speed"}]
    assert f"/performance/drift/checks/{check.pk}" in text(page.get(f"/performance/retraining/{row.pk}"))


def test_checks_go_to_a_spreadsheet(page, trained):
    make_drift(trained, "=1+1")
    csv = b"".join(page.get("/performance/drift/checks?export=csv").streaming_content).decode()
    assert csv.splitlines()[0].startswith("id,model_id,model__name") and "'=1+1 moved." in csv


def test_no_query_is_made_for_each_model(page, owner, trained, django_assert_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    make_drift(trained, "a")
    with CaptureQueriesContext(connection) as one:
        page.get("/performance/drift")
    from tests.world import make_version

    for number in range(5):
        make_drift(make_version(owner, f"More {number}"), "a")
    with django_assert_num_queries(len(one)):
        page.get("/performance/drift")


def test_a_bad_subject_is_refused_in_words(page, trained):
    answer = page.post(f"/performance/drift/models/{trained.model_id}/check", {"about": "weather"}, follow=True)
    assert "can&#x27;t be checked" in text(answer) and not DriftCheck.objects.exists()


def test_a_monitor_is_set_on_its_page(page, trained):
    address = f"/performance/drift/models/{trained.model_id}"
    assert "Not monitored" in text(page.get(address))
    form = {"enabled": "on", "about": ["inputs"], "every_hours": "12", "every_predictions": "", "window": "500",
            "alpha": "0,01", "reference": "auto", "streams": "on"}  # fmt: skip
    assert "inputs every 12 hours" in text(page.post(address, form, follow=True))
    monitor = DriftMonitor.objects.get()
    assert (monitor.every_hours, monitor.every_predictions, monitor.window) == (12, None, 500)
    assert "inputs every 12 hours" in text(page.get("/performance/drift"))
    wrong = page.post(address, form | {"alpha": "much", "every_hours": "soon"})
    assert wrong.status_code == 400
    assert "Choose a share" in wrong.content.decode() and "Choose 1 to" in wrong.content.decode()
    page.post(address, {name: value for name, value in form.items() if name != "enabled"})
    monitor.refresh_from_db()
    assert monitor.enabled is False


def test_a_stranger_finds_nothing_and_who_sees_the_model_is_refused_its_data(client, trained, stranger):
    check = make_drift(trained, "secret column")
    addresses = [f"/performance/drift/checks/{check.pk}", f"/performance/drift/models/{trained.model_id}"]
    client.force_login(stranger)
    for address in addresses:
        assert client.get(address).status_code == 404
    ask = f"/performance/drift/models/{trained.model_id}/check"
    assert client.post(ask, {"about": "inputs"}).status_code == 404
    make_roles()
    stranger.groups.add(Group.objects.get(name="Approvers"))
    for address in addresses:
        answer = client.get(address)
        assert answer.status_code == 403 and "secret" not in answer.content.decode()
    assert client.post(ask, {"about": "inputs"}).status_code == 403
    assert "Machines" not in text(client.get("/performance/drift"))
    stranger.groups.set([Group.objects.get(name="Analysts")])
    assert "secret column" in text(client.get(addresses[0]))
    assert "Save" not in text(client.get(addresses[1]))
    assert client.post(addresses[1], {"about": ["inputs"], "alpha": "0.01"}).status_code == 403


def test_the_open_page_is_told_once_of_each_step(trained, owner, stranger):
    from common.errors import NotFoundError

    check = verbs.check(trained.model, "inputs", owner)
    source = DriftSource.open(owner, str(check.pk), {"seen": seen(check)})
    assert source.topics == (f"drift.{check.pk}",) and source.snapshot() == [] == source.update()
    verbs.run(check.pk)
    (message,) = source.update()
    assert message.data == "completed-1" and source.update() == []
    with pytest.raises(NotFoundError):
        DriftSource.open(stranger, str(check.pk), {})
