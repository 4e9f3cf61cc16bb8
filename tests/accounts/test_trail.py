"""The audit trail is read by administrators: on its page, by the API, as CSV."""

from __future__ import annotations

import json

import pytest
from django.utils import timezone

from accounts import audit
from accounts.models import AuditEntry
from tests.api.conftest import Api

pytestmark = pytest.mark.django_db


@pytest.fixture
def trail(owner, stranger, administrator):
    AuditEntry.objects.all()
    audit.write(owner, "promoted", owner, margin=0.1)
    audit.write(None, "found damaged", stranger, reason="=SUM(A1)")
    audit.write(stranger, "deleted", owner)


def test_entries_are_found_by_person_verb_kind_row_and_day(trail, owner, administrator):
    api = Api(administrator)

    def found(query: str) -> list[str]:
        answer = api.get(f"audit?{query}")
        assert answer.status_code == 200, answer.content
        return [row["verb"] for row in answer.json()["results"] if row["kind"] != "apitoken"]

    today = timezone.localdate().isoformat()
    assert found("") == ["deleted", "found damaged", "promoted"]
    assert found("actor=alice") == ["promoted"] and found("actor=-") == ["found damaged"]
    assert found("verb=deleted&kind=user") == ["deleted"] and found("kind=model") == []
    assert found(f"object={owner.pk}") == ["deleted", "promoted"]
    assert len(found(f"since={today}&until={today}")) == 3 and found("until=2020-01-01") == []
    assert api.get("audit?verb=promoted").json()["results"][0]["details"] == {"margin": 0.1}
    assert api.get("audit?since=yesterday").status_code == 400 and api.get("audit?who=x").status_code == 400


def test_only_administrators_read_it(trail, owner, client):
    assert Api(owner).get("audit").status_code == 403
    client.force_login(owner)
    answer = client.get("/settings/audit")
    assert answer.status_code == 403 and "Only administrators" in answer.content.decode()
    assert "/settings/audit" not in client.get("/settings").content.decode()


def test_the_page_shows_filters_and_exports(trail, administrator, client, django_assert_max_num_queries):
    client.force_login(administrator)
    with django_assert_max_num_queries(7):
        page = client.get("/settings/audit").content.decode()
    assert "found damaged" in page and "the hub" in page and "margin: 0.1" in page
    assert "found damaged" not in client.get("/settings/audit?actor=alice").content.decode()
    assert "is no day" in client.get("/settings/audit?since=soon").content.decode()
    assert "No entry fits" in client.get("/settings/audit?verb=nothing").content.decode()
    lines = b"".join(client.get("/settings/audit?export=csv&verb=found+damaged")).decode().splitlines()
    assert len(lines) == 2 and lines[0].startswith("place,at,actor_name,verb")
    assert json.loads(AuditEntry.objects.get(verb="found damaged").details)["reason"] in lines[1].replace('""', '"')


def test_administrators_look_at_it_in_the_admin_and_change_nothing(trail, administrator, client):
    client.force_login(administrator)
    assert client.get("/admin/accounts/auditentry/?q=promoted").status_code == 200
    assert client.get("/admin/accounts/auditentry/add/").status_code == 403
