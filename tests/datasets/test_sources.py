"""Data from elsewhere: real servers on this machine, through an explicit allowance, honest and hostile."""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
import random
import urllib.request
import zipfile

import pytest
from django.db.models.functions import Now
from PIL import Image

from common.errors import ConflictError, ProblemError
from datasets import claims, limits
from datasets.intake.imports import run_import, start_from
from datasets.models import Import
from datasets.sources import fetching, guard, landing, origins
from tests.datasets.conftest import picture, tree
from tests.datasets.servers import S3, File, serving


@pytest.fixture(autouse=True)
def allowed(settings, monkeypatch):
    """This machine's first address, and no other one inside."""
    settings.TRAINHUB_ALLOW_INTERNAL_SOURCES = ["127.0.0.1/32"]
    monkeypatch.setattr(fetching, "WAITS", (0.0, 0.0, 0.0))


@pytest.fixture
def fetch(owner, django_capture_on_commit_callbacks):
    """Fetch and import the whole way; returns the ended import."""

    def fetch(dataset, **origin):
        made = start_from(dataset, owner, origin)
        with django_capture_on_commit_callbacks(execute=True):
            return run_import(made.pk, here=True)

    return fetch


def noise(side):
    """A picture that packs badly, so that it has about side² bytes."""
    out = io.BytesIO()
    Image.frombytes("L", (side, side), random.Random(side).randbytes(side * side)).save(out, "PNG")
    return out.getvalue()


def archive(count=4, size=(8, 8)):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for number in range(count):
            file.writestr(f"cats/{number}.png", picture(number, size))
    return out.getvalue()


# Web addresses


def test_a_file_of_the_web_becomes_items(fetch, images, nothing_left, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nobody listens there: variables about proxies are not read
    packed = archive()
    with serving(File(packed)) as server:
        ended = fetch(images, kind="url", url=f"{server.url}/set/pets.zip?signature=secret")
    assert (ended.status, ended.accepted, ended.bytes_total) == ("completed", 4, len(packed))
    assert ended.origin["url"] == f"{server.url}/set/pets.zip", "the query may hold a signature"
    nothing_left()


def test_a_broken_connection_goes_on_where_it_broke(fetch, images, home):
    data = noise(300)
    with serving(File(data, cuts=[20_000, 30_000])) as server:
        ended = fetch(images, kind="url", url=f"{server.url}/big.png")
    assert ended.accepted == 1, ended.message
    starts = [headers.get("Range") for _, headers in server.asked]
    assert starts[0] is None and starts[1:] == ["bytes=20000-", "bytes=50000-"]


def test_a_file_that_changed_meanwhile_begins_anew(fetch, images, home):
    data = noise(300)

    class Changes(File):
        def __call__(self, handler):
            super().__call__(handler)
            self.tag = '"two"'

    with serving(Changes(data, cuts=[20_000])) as server:
        ended = fetch(images, kind="url", url=f"{server.url}/big.png")
    assert ended.accepted == 1, ended.message


def test_a_server_that_always_breaks_off_ends_in_words(fetch, images, home):
    with serving(File(b"x" * 1000, cuts=[0] * 50)) as server:
        ended = fetch(images, kind="url", url=f"{server.url}/big.png")
    assert ended.status == "failed" and "breaks off" in ended.message


def test_a_killed_worker_is_taken_over_in_the_middle_of_a_file(owner, images, home, monkeypatch):
    data = noise(600)
    made = None

    class Dies(Exception):
        pass

    def die(self, *, at_once=False):
        if self.landing.bytes > 100_000:
            self.landing.sync()
            raise Dies

    with serving(File(data)) as server:
        made = start_from(images, owner, {"kind": "url", "url": f"{server.url}/big.png"})
        with monkeypatch.context() as patch:
            patch.setattr(fetching._Fetch, "_tell", die)
            patch.setattr("datasets.intake.imports._finish", lambda *args: None)  # a dead worker ends nothing
            run_import(made.pk, here=True)
        Import.objects.filter(pk=made.pk).update(heartbeat_at=Now() - 2 * claims.STALE)
        ended = run_import(made.pk, here=True)
    assert ended.accepted == 1 and ended.attempt == 2, ended.message
    assert int(server.asked[1][1]["Range"].removeprefix("bytes=").rstrip("-")) > 100_000


@pytest.mark.parametrize("torn", [b'{"key": "k9", "na', b"\0" * 20 + b"\n", b'{"key": "k'])
def test_a_line_that_was_cut_off_in_the_index_harms_no_later_worker(home, torn):
    for number in (1, 2, 3):
        with landing.Landing(7, number) as land:
            assert [entry["key"] for entry in land.entries] == [f"k{before}" for before in range(1, number)]
            land.write(b"abc%d" % number)
            land.complete(f"k{number}", f"file {number}")
            land.sync()
            os.write(land.index, torn)  # the power is lost, or the disk is full, in the middle of a line
    with landing.Landing(7, 4) as land:
        sources = land.hand_over()
    pack = (home / sources[0]["path"]).read_bytes()
    assert [pack[one["offset"] :][: one["bytes"]] for one in sources] == [b"abc1", b"abc2", b"abc3"]


def test_an_index_that_is_written_in_parts_is_whole(home, monkeypatch):
    write = os.write
    with landing.Landing(7, 1) as land:
        land.complete("key", "name")
        monkeypatch.setattr(landing.os, "write", lambda file, data: write(file, data[:3]))
        land.sync()
    with landing.Landing(7, 2) as land:
        assert land.last_key == "key"


def test_a_frozen_worker_and_its_successor_do_not_write_into_one_pack(home):
    frozen = landing.Landing(7, 1)
    frozen.write(b"old")
    with landing.Landing(7, 2) as successor:
        successor.write(b"new!")
        frozen.write(b"late")
        successor.complete("a", "a")
        [source] = successor.hand_over()
    assert (home / source["path"]).read_bytes() == b"new!"
    frozen.__exit__()


@pytest.mark.parametrize(
    ("status", "words"), [(404, "no file"), (403, "refuses"), (418, "418"), (503, "breaks off")]
)  # fmt: skip
def test_what_a_server_refuses_is_told(fetch, images, home, status, words):
    with serving(lambda handler: handler.reply(status)) as server:
        ended = fetch(images, kind="url", url=f"{server.url}/x.png")
    assert ended.status == "failed" and words in ended.message
    assert not list((home / "uploads").iterdir()) or not images.items.exists()


def test_an_answer_that_unpacks_to_a_bomb_is_stopped(fetch, images, home):
    bomb = gzip.compress(bytes(64 << 20))
    with serving(lambda handler: handler.reply(200, bomb, Content_Encoding="gzip")) as server:
        ended = fetch(images, kind="url", url=f"{server.url}/x.csv")
    assert ended.status == "failed" and "grows more than" in ended.message


def test_more_than_the_limit_is_stopped_whatever_the_headers_say(fetch, images, home, monkeypatch):
    monkeypatch.setattr(limits, "MAX_SOURCE_BYTES", 10_000)

    def endless(handler):
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        for _ in range(1000):
            handler.wfile.write(b"x" * 1000)

    with serving(endless) as server:
        assert "more than 9.8 KiB" in fetch(images, kind="url", url=f"{server.url}/x.png").message
    with serving(File(b"x" * 20_000)) as server:
        assert "more than 9.8 KiB" in fetch(images, kind="url", url=f"{server.url}/x.png").message


def test_fetching_ends_in_time(fetch, images, home, monkeypatch):
    monkeypatch.setattr(limits, "MAX_SOURCE_SECONDS", -1)
    with serving(File(b"x")) as server:
        assert "took longer" in fetch(images, kind="url", url=f"{server.url}/x.png").message


def test_a_disk_that_fills_up_ends_it_in_words(fetch, images, home, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(landing.os, "pwrite", full)
    with serving(File(picture(1))) as server:
        ended = fetch(images, kind="url", url=f"{server.url}/x.png")
    assert (ended.status, images.items.count()) == ("failed", 0) and "full" in ended.message
    assert list((home / "uploads").iterdir()) == []


def test_redirects_end(fetch, images, home):
    with serving(lambda handler: handler.reply(302, Location=f"/again{len(handler.path)}")) as server:
        assert "leads on" in fetch(images, kind="url", url=f"{server.url}/x.png").message
    assert len(server.asked) == 6


# Where nobody is asked

INSIDE = [
    "127.0.0.2", "localhost", "[::1]", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254",
    "100.64.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.0.1", "198.18.0.1", "[::]", "[fe80::1]",
    "[fc00::1]", "[ff02::1]", "[fec0::1]", "[::ffff:127.0.0.2]", "[::ffff:a9fe:a9fe]", "[::127.0.0.2]",
    "[64:ff9b::7f00:2]", "[64:ff9b:1::7f00:2]", "[2002:7f00:2::]", "[2001:0:7f00:2::]", "2130706434", "0x7f000002",
    "0x7f.0.0.2", "0177.0.0.2", "127.2", "127.0.0.2.",
]  # fmt: skip


@pytest.mark.parametrize("host", INSIDE)
def test_S12_no_address_inside_is_asked(owner, images, home, settings, host):
    settings.TRAINHUB_ALLOW_INTERNAL_SOURCES = []
    with serving(File(picture(1)), "127.0.0.2") as server:
        for port in (80, server.server_port):
            with pytest.raises(ProblemError):
                guard.connect(host, port, 1)
            try:
                made = start_from(images, owner, {"kind": "url", "url": f"http://{host}:{port}/x.png"})
            except ProblemError:
                continue  # refused at the door
            assert run_import(made.pk, here=True).status == "failed"
        assert server.asked == []


def test_S12_what_is_refused_is_served_where_it_is_allowed(fetch, images, home, settings):
    """The tests above can fail: the very same server is asked once the allowance names it."""
    settings.TRAINHUB_ALLOW_INTERNAL_SOURCES = ["127.0.0.2"]
    with serving(File(picture(1)), "127.0.0.2") as server:
        assert fetch(images, kind="url", url=f"{server.url}/x.png").accepted == 1


def test_S12_a_redirect_inside_is_not_followed(fetch, images, home):
    with serving(File(picture(1)), "127.0.0.2") as inside:
        for target in (inside.url, f"http://localhost:{inside.server_port}", "file:///etc/passwd", "ftp://127.0.0.1/x"):
            with serving(lambda handler, target=target: handler.reply(302, Location=target)) as server:
                assert fetch(images, kind="url", url=f"{server.url}/x.png").status == "failed"
            assert len(server.asked) == 1
        assert inside.asked == []


def test_S12_a_name_is_looked_up_once(monkeypatch, settings):
    """A name server that answers differently each time gets nobody inside."""
    answers = []

    def resolver(host, port, *args, **kwargs):
        address = ["127.0.0.1", "127.0.0.2"][len(answers) % 2]
        answers.append(address)
        return [(2, 1, 6, "", (address, port))]

    settings.TRAINHUB_ALLOW_INTERNAL_SOURCES = ["127.0.0.1/32", "rebind.test:0"]
    monkeypatch.setattr(guard, "PORTS", range(65_536))
    monkeypatch.setattr("socket.getaddrinfo", resolver)
    with serving(File(b"inside"), "127.0.0.2") as inside:
        with guard.connect("rebind.test", _listening(), 1) as sock:
            assert sock.getpeername()[0] == "127.0.0.1"
        assert answers == ["127.0.0.1"]
        # A weak twin, which checks a name and then asks by name, is led inside.
        answers.clear()
        assert resolver("rebind.test", 80)[0][4][0] == "127.0.0.1"
        with urllib.request.urlopen(f"http://rebind.test:{inside.server_port}/") as answer:
            assert answer.read() == b"inside"
    _stop_listening()


_open = []


def _listening():
    import socket

    listener = socket.create_server(("127.0.0.1", 0))
    _open.append(listener)
    return listener.getsockname()[1]


def _stop_listening():
    while _open:
        _open.pop().close()


def test_S12_a_name_with_one_address_inside_is_refused(monkeypatch):
    both = [(2, 1, 6, "", ("93.184.216.34", 80)), (2, 1, 6, "", ("127.0.0.2", 80))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *args, **kwargs: both)
    with pytest.raises(ProblemError, match="private network"):
        guard.connect("mixed.test", 80, 1)


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://example.org/x", "gopher://example.org/", "http://", "http://user:word@example.org/",
     "http://exa mple.org/", "http://example.org\\@127.0.0.1/", "http://example.org/\r\nX: y", "//example.org/x", "x",
     "http://example.org:99999/", "http://[::1", "jar:http://example.org!/"],
)  # fmt: skip
def test_S12_only_web_addresses_are_taken(url):
    with pytest.raises(ProblemError):
        origins.checked({"kind": "url", "url": url})


def test_S12_ports_of_other_services_are_not_asked():
    with pytest.raises(ProblemError, match="Port 6379"):
        guard.connect("93.184.216.34", 6379, 1)


# Buckets

KEYS = {"access_key": "AKIAMARKER", "secret_key": "marker-secret"}


def test_a_bucket_becomes_items(fetch, images, nothing_left):
    objects = {f"train/cats/{number}.png": picture(number) for number in range(5)}
    objects |= {"train/": b"", "other/x.png": picture(9), "train/dogs/ä b+c&.png": picture(7)}
    with serving(S3(objects, KEYS["access_key"])) as server:
        ended = fetch(images, kind="s3", endpoint=server.url, bucket="pets", prefix="train/", **KEYS)
    assert (ended.status, ended.accepted) == ("completed", 6), ended.message
    assert images.items.filter(label="cats").count() == 5
    assert images.items.get(label="dogs").name == "dogs/ä b+c&.png"
    nothing_left()


def test_keys_are_kept_only_until_the_import_ends_and_never_shown(owner, images, home, client):
    client.force_login(owner)
    with serving(S3({"x.png": picture(1)}, KEYS["access_key"])) as server:
        origin = {"kind": "s3", "endpoint": server.url, "bucket": "pets", **KEYS}
        answer = client.post(
            f"/api/v1/datasets/{images.pk}/imports", json.dumps({"origin": origin}), content_type="application/json"
        )
        assert answer.status_code == 202, answer.content
        number = answer.json()["id"]
        owner.is_staff = owner.is_superuser = True
        owner.save()
        seen = [answer] + [
            client.get(path, follow=True)
            for path in (f"/api/v1/datasets/{images.pk}/imports", f"/api/v1/datasets/{images.pk}/imports/{number}",
                         f"/datasets/{images.pk}", f"/admin/datasets/import/{number}/change/")
        ]  # fmt: skip
        assert all(page.status_code == 200 for page in seen[1:])
        assert not any(key.encode() in page.content for page in seen for key in KEYS.values())
        assert Import.objects.get().origin["secret_key"] == KEYS["secret_key"]
        run_import(number, here=True)
    assert Import.objects.get().accepted == 1
    assert not any(key in json.dumps(Import.objects.get().origin) for key in KEYS.values())


def test_wrong_keys_are_told_and_forgotten(fetch, images, home):
    with serving(S3({"x.png": picture(1)}, "OTHER")) as server:
        ended = fetch(images, kind="s3", endpoint=server.url, bucket="pets", **KEYS)
    assert ended.status == "failed" and "access key" in ended.message
    assert not set(KEYS) & set(ended.origin)


def test_S12_a_bucket_inside_is_not_asked(owner, images, home):
    with serving(S3({"x.png": picture(1)}), "127.0.0.2") as server:
        with pytest.raises(ProblemError, match="private network"):
            start_from(images, owner, {"kind": "s3", "endpoint": server.url, "bucket": "pets"})
        by_name = {"kind": "s3", "endpoint": f"http://ip6-localhost:{server.server_port}", "bucket": "pets"}
        assert run_import(start_from(images, owner, by_name).pk, here=True).status == "failed"
        assert server.asked == []


def test_an_endless_listing_is_stopped(fetch, images, home, monkeypatch):
    monkeypatch.setattr("datasets.sources.transport.MAX_ANSWER", 1000)
    with serving(lambda handler: handler.reply(200, b"<x>" * 1000, Content_Type="application/xml")) as server:
        assert "unreasonably long" in fetch(images, kind="s3", endpoint=server.url, bucket="pets").message


def test_a_listing_that_is_no_listing_is_told(fetch, images, home):
    for body in (b"not xml", b"<a/>", b"<!DOCTYPE x [<!ENTITY a 'b'>]><ListBucketResult>&a;</ListBucketResult>"):
        with serving(lambda handler, body=body: handler.reply(200, body, Content_Type="application/xml")) as server:
            ended = fetch(images, kind="s3", endpoint=server.url, bucket="pets")
        assert ended.status == "failed" and "sound answer" in ended.message


# Folders of the server


@pytest.fixture
def shelf(tmp_path_factory, settings):
    """A folder that may be imported from, beside one that may not."""
    root = tmp_path_factory.mktemp("shelf")
    settings.TRAINHUB_IMPORT_ROOTS = [str(root / "open")]
    for place in ("open/pets/cats", "closed"):
        (root / place).mkdir(parents=True)
    (root / "closed" / "secret.png").write_bytes(picture(99))
    for number in range(3):
        (root / "open" / "pets" / "cats" / f"{number}.png").write_bytes(picture(number))
    return root


def test_a_folder_of_the_server_becomes_items(fetch, images, shelf, nothing_left):
    before = tree(shelf)
    ended = fetch(images, kind="folder", path=str(shelf / "open" / "pets"))
    assert (ended.status, ended.accepted) == ("completed", 3), ended.message
    assert set(images.items.values_list("name", "label")) == {
        (f"pets/cats/{number}.png", "cats") for number in range(3)
    }
    assert tree(shelf) == before
    nothing_left()


def test_one_file_of_the_server_will_do(fetch, images, shelf, home):
    assert fetch(images, kind="folder", path=str(shelf / "open/pets/cats/1.png")).accepted == 1


def test_links_out_and_special_files_are_passed_over(fetch, images, shelf, home):
    pets = shelf / "open" / "pets"
    (pets / "link.png").symlink_to(shelf / "closed" / "secret.png")
    (pets / "folder").symlink_to(shelf / "closed")
    os.mkfifo(pets / "pipe.png")
    ended = fetch(images, kind="folder", path=str(pets))
    assert ended.accepted == 3 and ended.origin["passed_over"] == 2


@pytest.mark.parametrize(
    "path", ["closed", "open/../closed", "open/out", "open/none", "", "/", "/etc", "open/pets\x00", "relative"]
)
def test_no_other_folder_is_read(owner, images, shelf, home, path):
    (shelf / "open" / "out").symlink_to(shelf / "closed")
    whole = path if path in {"", "/", "/etc", "relative"} else f"{shelf}/{path}"
    with pytest.raises(ProblemError):
        start_from(images, owner, {"kind": "folder", "path": whole})


def test_a_folder_that_became_a_link_is_not_read(owner, images, shelf, home):
    made = start_from(images, owner, {"kind": "folder", "path": str(shelf / "open" / "pets")})
    (shelf / "open" / "pets").rename(shelf / "open" / "moved")
    (shelf / "open" / "pets").symlink_to(shelf / "closed")
    assert run_import(made.pk, here=True).status == "failed"
    assert not images.items.exists()


# In common


@pytest.mark.parametrize("origin", [None, [], {}, {"kind": "x"}, {"kind": "url"}, {"kind": "url", "url": 5},
                                    {"kind": "url", "url": "http://example.org/x" * 200},
                                    {"kind": "url", "url": "http://example.org/", "extra": 1},
                                    {"kind": "s3", "endpoint": "http://example.org/path", "bucket": "pets"},
                                    {"kind": "s3", "endpoint": "http://example.org", "bucket": "../x"},
                                    {"kind": "s3", "endpoint": "http://example.org", "bucket": "pets",
                                     "access_key": "only one"}])  # fmt: skip
def test_what_is_no_origin_is_refused_in_words(owner, images, home, origin):
    with pytest.raises(ProblemError) as refused:
        start_from(images, owner, origin)
    assert refused.value.hint and not Import.objects.exists()


def test_one_person_can_not_fill_the_queue(owner, images, home, monkeypatch):
    monkeypatch.setattr(limits, "MAX_OPEN_SOURCES", 1)
    start_from(images, owner, {"kind": "url", "url": "http://example.org/x.zip"})
    with pytest.raises(ConflictError):
        start_from(images, owner, {"kind": "url", "url": "http://example.org/x.zip"})
