"""Administrators look at logged predictions without counting millions of them."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from registry.logged.admin import FirstThousands
from registry.logged.outcomes import send
from tests.registry.logged.cast import classifier, logged


@pytest.mark.parametrize("name", ["prediction", "outcome"])
def test_lists_are_bounded_and_found_by_id(client, owner, administrator, name, monkeypatch):
    monkeypatch.setattr(FirstThousands, "most", 3)
    version = classifier(owner)
    rows = [logged(version, owner) for _ in range(5)]
    for row in rows:
        send(owner, row.pk, truth="cat")
    client.force_login(administrator)
    with CaptureQueriesContext(connection) as queries:
        page = client.get(f"/admin/registry/{name}/")
    assert "3 " in page.content.decode() and page.status_code == 200
    assert not [q for q in queries.captured_queries if "COUNT(*)" in q["sql"] and f"registry_{name}" in q["sql"]]
    text = client.get(f"/admin/registry/{name}/?q={rows[0].pk}").content.decode()
    assert str(rows[0].pk) in text and str(rows[1].pk) not in text
    assert str(rows[4].pk) in client.get(f"/admin/registry/{name}/?q={version.model_id}").content.decode()
    assert str(rows[4].pk) not in client.get(f"/admin/registry/{name}/?q=cat").content.decode()
    assert client.get(f"/admin/registry/{name}/{rows[0].pk}/change/").status_code == 200
