"""Promotions are decided in the administration by the same verbs, with the same rules."""

from __future__ import annotations

import pytest

from registry.promotion import aliases, verbs
from tests.registry.promotion.cast import classifier, settle

pytestmark = pytest.mark.django_db


def test_an_administrator_decides_as_anybody_else_would(client, administrator, owner):
    mine, theirs = classifier(administrator, 0.9), classifier(owner, 0.9)
    for version in (mine, theirs):
        settle(version.model, approvals=1)
    requests = [verbs.promote(mine, administrator), verbs.promote(theirs, owner)]
    client.force_login(administrator)
    chosen = {"action": "approve", "_selected_action": [request.pk for request in requests]}
    said = client.post("/admin/registry/promotionrequest/", chosen, follow=True).content.decode()
    assert "You asked for this promotion yourself." in said and "Sorter v1: granted." in said
    assert aliases.champion(mine.model) is None and aliases.champion(theirs.model) == theirs
