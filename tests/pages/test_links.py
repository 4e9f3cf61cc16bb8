"""No page leads anywhere that its reader can't go."""

import re

import pytest
from django.test import Client

from tests.registry.promotion.cast import with_role

LINK = re.compile(r'(?:href|hx-get)="(/[^"#]*)')
ELSEWHERE = ("/static/", "/admin", "/stream/", "/api/")


def leads(client, pages):
    """Every address that a page leads to, with the first page that does."""
    found = {}
    for address in pages.values():
        answer = client.get(address)
        if answer.status_code != 200 or answer.streaming or "html" not in answer.headers["Content-Type"]:
            continue
        for target in LINK.findall(answer.content.decode().replace("&amp;", "&")):
            if not target.startswith(ELSEWHERE):
                found.setdefault(target, address)
    return found


@pytest.mark.parametrize("who", ["owner", "release manager"])
def test_no_link_leads_nowhere(who, pages, owner, world):
    client = Client()
    client.force_login(owner if who == "owner" else with_role("marge", "Release managers"))
    found = leads(client, pages)
    assert len(found) > (150 if who == "owner" else 40)
    dead = {}
    for target, page in found.items():
        answer = client.get(target)
        if answer.status_code in {404, 500}:
            dead[target] = (page, answer.status_code)
    assert dead == {}
