"""Archives are opened without trusting a word in them."""

from __future__ import annotations

import gzip
import io
import resource
import stat
import struct
import tarfile
import time
import zipfile
import zlib

import pytest

from datasets import limits
from datasets.intake.archives import kind, open_archive
from datasets.refused import Refused
from tests.datasets.conftest import picture, tree

MIB = 1 << 20


def zipped(*members, method=zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        for name, content in members:
            file.writestr(name, content)
    return out.getvalue()


def tarred(*members, mode="w", format=tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=format) as file:
        for name, content in members:
            if isinstance(content, bytes):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
            else:
                info = tarfile.TarInfo(name)
                info.type, info.linkname = content[0], "/etc"
                file.addfile(info)
    return out.getvalue()


def special(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def names_in(data: bytes) -> list[str]:
    archive = open_archive(kind(data[:512]), io.BytesIO(data), len(data))
    found = []
    for name, content in archive.members():
        assert not isinstance(content, Refused)
        content.read()
        found.append(name)
    assert len(found) == archive.count
    return found


def refused(data: bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        names_in(data)
    return caught.value


def bad_names() -> list[str]:
    return [
        "../out.png", "a/../../out.png", "/absolute.png", "..\\..\\out.png", "C:\\out.png", "C:out.png", "a\\b.png",
        "d/" * 500 + "f.png", "n" * 5000 + ".png", "..",
    ]  # fmt: skip


@pytest.mark.parametrize("pack", [zipped, tarred], ids=["zip", "tar"])
@pytest.mark.parametrize("name", bad_names(), ids=lambda name: name[:12])
def test_one_bad_name_refuses_the_whole_archive(pack, name):
    problem = refused(pack(("good.png", b"x"), (name, b"x")))
    assert problem.code == "unsafe_archive"
    assert "Nothing was taken" in problem.reason and problem.hint


@pytest.mark.parametrize("name", bad_names(), ids=lambda name: name[:12])
def test_nothing_of_such_an_archive_gets_in(images, bring, nothing_left, home, name):
    before = tree(home.parent)
    ended = bring(images, ("pack.zip", zipped(("cats/1.png", picture()), (name, picture(1)))))
    assert (ended.status, ended.accepted, images.item_count) == ("failed", 0, 0)
    assert "Nothing was taken" in ended.message and ended.hint
    nothing_left()
    assert {key: value for key, value in tree(home.parent).items() if "/.incoming" not in key} == before


def test_the_same_names_without_the_bad_one_are_taken():
    assert names_in(zipped(("cats/1.png", b"x"), ("cats/2.png", b"y"))) == ["cats/1.png", "cats/2.png"]
    assert names_in(tarred(("./cats/1.png", b"x"), ("cats/2.png", b"y"))) == ["cats/1.png", "cats/2.png"]
    assert names_in(tarred(("c/1.png", b"x"), ("c" * 90 + "/" + "n" * 90, b"y"), format=tarfile.GNU_FORMAT))
    assert names_in(tarred(("c/é" + "n" * 150, b"y"), mode="w:gz")) == ["c/é" + "n" * 150]


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_devices_in_a_zip_refuse_it(mode):
    assert "link or a device" in refused(zipped((special("link", mode | 0o777), "/etc"), ("link/a", "x"))).reason


@pytest.mark.parametrize("type", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar_refuse_it(type):
    assert refused(tarred(("good.png", b"x"), ("bad", (type,)))).code == "unsafe_archive"


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("pack", [zipped, tarred], ids=["zip", "tar"])
def test_a_name_that_is_in_it_twice_refuses_the_archive(pack):
    assert "twice" in refused(pack(("a.png", b"1"), ("a.png", b"2"))).reason


def test_folders_and_system_files_are_passed_over():
    data = zipped(("cats/", b""), ("cats/1.png", b"x"), ("__MACOSX/cats/._1.png", b"x"), ("cats/.DS_Store", b"x"))
    assert names_in(data) == ["cats/1.png"]


def grown() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_a_flat_bomb_is_refused_at_once_with_little_memory():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file, file.open("x.txt", "w") as member:
        for _ in range(300):
            member.write(bytes(MIB))
    before, started = grown(), time.process_time()
    assert refused(out.getvalue()).code == "archive_bomb"
    assert time.process_time() - started < 1 and grown() - before < 50 * 1024


def test_a_bomb_in_a_tar_gz_is_refused_while_it_streams():
    out = io.BytesIO()
    with gzip.open(out, "wb", 9) as packed:
        info = tarfile.TarInfo("x.txt")
        info.size = 300 * MIB
        packed.write(info.tobuf())
        for _ in range(300):
            packed.write(bytes(MIB))
    before, started = grown(), time.process_time()
    assert refused(out.getvalue()).code == "archive_bomb"
    assert time.process_time() - started < 2 and grown() - before < 50 * 1024


def test_an_extended_header_of_any_size_takes_no_memory():
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 200 * MIB
    data = gzip.compress(info.tobuf() + bytes(200 * MIB), 9)
    before = grown()
    assert refused(data).code == "unsafe_archive"
    assert grown() - before < 50 * 1024


def test_a_size_that_lies_in_the_header_brings_no_more_than_it_says(texts, bring, nothing_left):
    data = bytearray(zipped(("bomb.txt", b"a" * (20 * MIB)), ("good.txt", b"good")))
    size = struct.pack("<I", 20 * MIB)
    while (at := data.find(size)) >= 0:
        data[at : at + 4] = struct.pack("<I", 10)
    ended = bring(texts, ("pack.zip", bytes(data)))
    assert (ended.status, ended.accepted) == ("completed", 1)
    assert ended.refusals.get().code == "corrupt_archive"
    assert texts.byte_count == 4
    nothing_left()


def test_files_that_share_packed_bytes_are_refused():
    """Many entries of the directory point at one large packed file (the 'quoted overlap' bomb)."""
    data = zipped(("a.txt", b"a" * 1000))
    end = data.rfind(b"PK\x05\x06")
    start = struct.unpack_from("<I", data, end + 16)[0]
    entry = data[start:end]
    directory = entry + entry.replace(b"a.txt", b"b.txt")
    tail = bytearray(data[end:])
    struct.pack_into("<HHI", tail, 8, 2, 2, len(directory))
    assert refused(data[:start] + directory + bytes(tail)).reason == "Files inside the zip archive overlap."


def test_too_many_files_are_refused_before_they_are_listed(monkeypatch):
    data = zipped(*((str(number), b"") for number in range(2000)), method=zipfile.ZIP_STORED)
    assert len(names_in(data)) == 2000
    monkeypatch.setattr(limits, "MAX_FILES", 1999)
    assert refused(data).code == "too_many_files"
    assert refused(tarred(*((str(number), b"") for number in range(2000)))).code == "too_many_files"


def test_a_directory_that_hides_its_count_is_counted(monkeypatch):
    data = bytearray(zipped(*((str(number), b"") for number in range(200))))
    struct.pack_into("<HH", data, data.rfind(b"PK\x05\x06") + 8, 1, 1)
    monkeypatch.setattr(limits, "MAX_FILES", 199)
    assert refused(bytes(data)).code == "too_many_files"


def test_unpacked_size_is_limited(monkeypatch):
    monkeypatch.setattr(limits, "MAX_UNPACKED_BYTES", MIB)
    noise = bytes(range(256)) * 4096
    assert refused(zipped(("a", noise), ("b", noise))).code == "archive_bomb"
    assert refused(tarred(("a", noise), ("b", noise))).code == "archive_bomb"


def test_encrypted_members_are_set_aside_one_by_one(images, bring):
    data = bytearray(zipped(("a.png", picture(1)), ("b.png", picture(2))))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.find(signature) + offset] |= 1
    ended = bring(images, ("pack.zip", bytes(data)))
    assert ended.refusals.get().code == "encrypted"
    assert ended.accepted == 1


def test_methods_that_let_the_sender_choose_the_memory_are_not_opened(images, bring):
    ended = bring(images, ("pack.zip", zipped(("a.png", picture()), method=zipfile.ZIP_LZMA)))
    assert ended.refusals.get().code == "unknown_archive"


def test_archives_in_archives_are_set_aside(images, bring):
    ended = bring(images, ("pack.zip", zipped(("a.png", picture()), ("b.png", zipped(("c", b"x"))))))
    assert (ended.accepted, ended.refusals.get().code) == (1, "nested_archive")


def test_a_damaged_member_costs_only_itself(images, bring):
    good, bad = picture(1), picture(2, size=(64, 64))
    data = bytearray(zipped(("good.png", good), ("bad.png", bad), method=zipfile.ZIP_STORED))
    data[data.find(bad) + len(bad) // 2] ^= 255
    ended = bring(images, ("pack.zip", bytes(data)))
    assert (ended.accepted, ended.refusals.get().code) == (1, "corrupt_archive")


@pytest.mark.parametrize("cut", [30, 100, -30])
@pytest.mark.parametrize("mode", ["zip", "tar", "tar.gz"])
def test_a_cut_archive_is_refused_in_words(images, bring, mode, cut):
    members = [("a.png", picture(1, size=(64, 64))), ("b.png", picture(2, size=(64, 64)))]
    data = zipped(*members) if mode == "zip" else tarred(*members, mode="w:gz" if mode == "tar.gz" else "w")
    whole = data.rstrip(b"\0") if mode == "tar" else data  # its last blocks are empty
    ended = bring(images, ("pack", whole[:cut]))
    assert ended.status == "failed" and ended.accepted == 0
    assert ended.hint


def test_other_archives_are_named(images, bring):
    ended = bring(images, ("pack.7z", b"7z\xbc\xaf\x27\x1c" + bytes(100)))
    assert ended.status == "failed"
    assert "7z" in ended.message and "zip" in ended.hint


def test_a_gzip_file_that_is_no_tar_is_refused(texts, bring):
    assert "no tar archive" in bring(texts, ("a.csv.gz", gzip.compress(b"a,b\n" * 1000))).message


def test_arbitrary_bytes_never_crash_the_reader():
    noise = zlib.compress(bytes(range(256)) * 20)
    good = [zipped(("a.png", noise), ("b/c.png", noise)), tarred(("a.png", noise), ("b/c.png", noise), mode="w:gz")]
    for data in good:
        for at in range(0, len(data), 7):
            damaged = bytearray(data)
            damaged[at] ^= 0x55
            try:
                archive = open_archive(kind(bytes(damaged[:512])) or "zip", io.BytesIO(bytes(damaged)), len(damaged))
                for _, content in archive.members():
                    if not isinstance(content, Refused):
                        content.read()
            except Refused as problem:
                assert problem.reason and problem.hint
