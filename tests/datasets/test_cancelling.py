"""An import is cancelled while it waits, fetches or reads: what it took in stays, and nothing is left behind."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import connection
from django.utils import timezone

from common.errors import ConflictError
from datasets import claims
from datasets.intake import imports, spool, worker
from datasets.intake.cancelling import cancel_import
from datasets.intake.imports import receive, run_import, start_from, sweep_imports
from datasets.models import Dataset, Import
from tests.datasets.conftest import File, picture
from tests.datasets.servers import serving

HTMX = {"HX-Request": "true"}
JSON = {"content_type": "application/json"}


@pytest.fixture
def sent(monkeypatch):
    """What is put on the background queue."""
    calls = []
    monkeypatch.setattr(imports, "enqueue", lambda function, *arguments: calls.append((function, *arguments)))
    monkeypatch.setattr(claims, "enqueue", lambda function, *arguments: calls.append((function, *arguments)))
    return calls


def waiting(dataset, owner, count=10, first=0) -> Import:
    return receive(dataset, owner, [File(f"cats/{n}.png", picture(n)) for n in range(first, first + count)])


def working(made: Import, **named) -> tuple[threading.Thread, list]:
    """A worker in a thread of its own, with a connection of its own; what it returned."""
    ended: list = []

    def run():
        try:
            ended.append(run_import(made.pk, **named))
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, ended


def until(holds, seconds=20.0) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it takes too long"
        time.sleep(0.01)


@pytest.mark.django_db(transaction=True)
def test_a_running_import_stops_where_it_is(images, owner, monkeypatch, sent, nothing_left):
    monkeypatch.setattr(worker, "BATCH_FILES", 10)
    write = worker._Batch._write_rows

    def slowly(batch):
        write(batch)
        time.sleep(0.02)

    monkeypatch.setattr(worker._Batch, "_write_rows", slowly)
    made = waiting(images, owner, 400)
    thread, ended = working(made)
    until(lambda: Import.objects.get(pk=made.pk).done >= 20)
    cancelled = cancel_import(made, owner)
    kept = images.items.count()
    thread.join(10)
    assert not thread.is_alive() and ended == [None]
    cancelled.refresh_from_db()
    assert (cancelled.status, cancelled.done, cancelled.accepted) == ("cancelled", kept, kept)
    assert 20 <= kept < 400 and images.items.count() == kept, "no item came after the cancelling"
    assert cancelled.message == (
        f"Cancelled: {400 - kept} of 400 files were not read to the end. {kept} items had been taken in and stay."
    )
    assert cancelled.finished_at and cancelled.sources == [] and cancelled.position == {}
    images.refresh_from_db()
    assert (images.status, images.item_count) == ("active", kept)
    assert ("datasets.tasks.make_previews", images.pk) in sent
    sweep_imports()
    assert run_import(made.pk) is None, "nobody takes it up again"
    nothing_left()


@pytest.mark.django_db(transaction=True)
def test_an_import_that_is_fetched_stops(images, owner, sent, home, settings):
    def endless(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(1 << 30))
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"x" * 4096)
                time.sleep(0.01)
        except OSError:
            pass

    with serving(endless) as server:
        settings.TRAINHUB_ALLOW_INTERNAL_SOURCES = ["127.0.0.1/32"]
        made = start_from(images, owner, {"kind": "url", "url": f"{server.url}/data.zip?key=secret"})
        thread, ended = working(made, here=True)
        until(lambda: Import.objects.get(pk=made.pk).bytes_done > 0)
        cancelled = cancel_import(made, owner)
        thread.join(10)
    assert not thread.is_alive() and ended == [None]
    assert cancelled.message == "Cancelled while its files were fetched or opened: none was read."
    assert "secret" not in str(cancelled.origin)
    assert list((home / "uploads").iterdir()) == []
    assert Dataset.objects.get(pk=images.pk).status == "empty"


def test_one_that_waits_never_begins_and_the_next_one_does(
    images, owner, sent, home, django_capture_on_commit_callbacks
):
    first, second = waiting(images, owner), waiting(images, owner, 2, first=50)
    with django_capture_on_commit_callbacks(execute=True):
        cancelled = cancel_import(first, owner)
    assert (cancelled.status, cancelled.message) == ("cancelled", "Cancelled before it began: no file was read.")
    assert sent == [("datasets.tasks.run_import", second.pk)]
    assert Dataset.objects.get(pk=images.pk).status == "processing", "another import waits"
    assert run_import(first.pk) is None
    assert run_import(second.pk).accepted == 2
    assert [path.name for path in (home / "uploads").iterdir()] == [str(second.pk)], "its callbacks were not run here"


def test_what_has_ended_can_not_be_cancelled(images, owner, bring, sent):
    ended = bring(images, ("cats/1.png", picture(1)))
    with pytest.raises(ConflictError, match="ended already: 1 item added"):
        cancel_import(ended, owner)
    made = waiting(images, owner, 3, first=10)
    cancel_import(made, owner)
    with pytest.raises(ConflictError, match="ended already: Cancelled before it began"):
        cancel_import(made, owner)
    ended.refresh_from_db()
    assert ended.status == "completed"


def test_a_worker_that_finds_the_files_gone_ends_without_a_trace(images, owner, sent, home):
    made = waiting(images, owner)
    Import.objects.filter(pk=made.pk).update(status="running", heartbeat_at=timezone.now(), attempt=1)
    claim = imports.ImportClaim(Import.objects.select_related("dataset").get(pk=made.pk))
    cancel_import(made, owner)
    spool.remove(made.pk)
    assert not claims.carry_out(
        claim, "import", lambda: worker.work(claim), lambda *words: imports._finish(claim, *words), ""
    )
    made.refresh_from_db()
    assert made.status == "cancelled"


def test_by_api_and_on_the_page(images, owner, stranger, client, sent, home):
    made, other = waiting(images, owner), waiting(images, owner, 2, first=50)
    api, page = (f"{base}/datasets/{images.pk}/imports" for base in ("/api/v1", ""))
    client.force_login(stranger)
    for address, how in ((f"{api}/{made.pk}/cancel", JSON), (f"{page}/{made.pk}/cancel", {})):
        assert client.post(address, **how).status_code == 404
    client.force_login(owner)
    assert f'href="{page}/{made.pk}/cancel"' in client.get(f"/datasets/{images.pk}").content.decode()
    asked = client.get(f"{page}/{made.pk}/cancel", headers=HTMX).content.decode()
    assert "Cancel the import?" in asked and "What it took in stays." in asked
    assert client.get(f"{page}/{made.pk}/cancel").status_code == 200
    assert client.post(f"/api/v1/datasets/{images.pk + 1}/imports/{made.pk}/cancel", **JSON).status_code == 404
    answer = client.post(f"{api}/{made.pk}/cancel", **JSON).json()
    assert (answer["status"], answer["phase"]) == ("cancelled", "ended")
    again = client.post(f"{api}/{made.pk}/cancel", **JSON)
    assert again.status_code == 409 and "ended already" in again.json()["detail"] and again.json()["hint"]
    said = client.post(f"{page}/{other.pk}/cancel", headers=HTMX).content.decode()
    assert "Cancelled before it began" in said and "#toasts" in said
    assert client.post(f"{page}/{other.pk}/cancel", headers=HTMX).status_code == 409
    shown = client.post(f"{page}/{other.pk}/cancel", follow=True).content.decode()
    assert "The import has ended already" in shown and "Cancelled" in shown and "cancel-import" not in shown
    assert "has ended" in client.get(f"{page}/{other.pk}/cancel", headers=HTMX).content.decode()
