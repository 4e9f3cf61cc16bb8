"""Background work that waits is offered to workers again, a bounded number at a time."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from datasets import claims
from datasets.models import Import


def waiting(dataset, owner, count):
    made = Import.objects.bulk_create(Import(dataset=dataset, created_by=owner) for _ in range(count))
    Import.objects.update(created_at=timezone.now() - 2 * claims.UNTAKEN)
    return [one.pk for one in made]


def test_however_much_waits_a_sweep_offers_so_much_and_each_in_its_turn(images, owner, monkeypatch):
    monkeypatch.setattr(claims, "AT_ONCE", 3)
    offered = []
    monkeypatch.setattr(claims, "enqueue", lambda task, pk: offered.append(pk))
    pks = waiting(images, owner, 7)
    assert [claims.offer(Import, "some.task") for _ in range(4)] == [3, 3, 1, 0], "and nothing twice within a while"
    assert offered == pks
    moments = {pk: timezone.now() - claims.UNTAKEN - timedelta(seconds=10 + pk - pks[0]) for pk in pks}
    for pk, moment in moments.items():
        Import.objects.filter(pk=pk).update(heartbeat_at=moment)
    pks += waiting(images, owner, 1)
    offered.clear()
    assert claims.offer(Import, "some.task") == 3
    assert offered == [pks[7], pks[6], pks[5]], "what was never offered, then what was offered longest ago"
