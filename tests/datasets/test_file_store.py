"""The file store: complete files under the hash of their content, or nothing."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
import threading

import pytest

from common.errors import InvalidInputError, NotFoundError, UnavailableError
from common.files import FileStore, store


def files(root):
    return [path for path in root.rglob("*") if not path.is_dir()]


def test_bytes_streams_and_paths_get_the_same_address(home, tmp_path_factory):
    content = b"x" * 3_000_000
    path = tmp_path_factory.mktemp("artifact") / "model.safetensors"
    path.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    for source in (content, io.BytesIO(content), path):
        assert store().add(source).sha256 == sha256
    target = home / "store" / sha256[:2] / sha256
    assert files(home / "store") == [target]
    assert stat.S_IMODE(target.stat().st_mode) == 0o440
    assert store().verify(sha256)


def test_a_path_is_linked_and_not_copied(home):
    path = home / "model.safetensors"
    path.write_bytes(b"weights")
    stored = store().add(path)
    assert store().path(stored.sha256).stat().st_ino == path.stat().st_ino
    assert path.stat().st_mode & 0o222 == 0


def test_a_file_that_is_there_is_not_written_again():
    first = store().add(b"content")
    inode = store().path(first.sha256).stat().st_ino
    assert store().add(b"content") == first
    assert store().path(first.sha256).stat().st_ino == inode


@pytest.mark.parametrize("address", ["../../canary.txt", "a" * 63, "A" * 64, "a" * 64 + "\n", "", "/etc/passwd", None])
def test_only_an_address_makes_a_path(address):
    with pytest.raises(InvalidInputError):
        store().open(address)


def test_links_and_pipes_are_never_opened(home):
    sha256 = store().add(b"content").sha256
    path = store().path(sha256)
    path.unlink()
    path.symlink_to(home.parent / "canary.txt")
    with pytest.raises(NotFoundError):
        store().open(sha256)
    assert not store().exists(sha256) and not store().verify(sha256)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(NotFoundError):
        store().open(sha256)
    with pytest.raises(OSError):
        link = home / "link"
        link.symlink_to(home.parent / "canary.txt")
        store().add(link)


def test_a_flipped_bit_is_noticed():
    sha256 = store().add(b"content").sha256
    path = store().path(sha256)
    path.chmod(0o600)
    path.write_bytes(b"contend")
    assert not store().verify(sha256)


def test_a_full_disk_is_told_in_words_and_leaves_nothing(home, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UnavailableError) as caught:
        store().add(b"content")
    assert "full" in caught.value.message and caught.value.hint
    assert files(home / "store") == []


def test_the_file_is_synced_before_it_has_its_name(home, monkeypatch):
    order = []
    fsync, rename = os.fsync, os.rename
    monkeypatch.setattr(os, "fsync", lambda descriptor: (order.append(os.readlink(f"/proc/self/fd/{descriptor}")),
                                                         fsync(descriptor)))  # fmt: skip
    monkeypatch.setattr(os, "rename", lambda one, other: (order.append("rename"), rename(one, other)))
    sha256 = store().add(b"content").sha256
    at = order.index("rename")
    assert "/.incoming/" in order[0] and at == 1
    assert str(home / "store" / sha256[:2]) in order[at:]


def test_writers_of_the_same_content_do_not_disturb_each_other(home):
    target = FileStore(home / "store")
    content = os.urandom(2_000_000)
    threads = [threading.Thread(target=target.add, args=(content,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.name for path in files(home / "store")] == [hashlib.sha256(content).hexdigest()]


def test_a_killed_writer_is_swept_away(home):
    draft = store().batch().draft()
    draft.write(b"half")
    assert store().sweep() == 0, "it may still be written"
    os.utime(draft.path, (0, 0))
    assert store().sweep() == 1
    assert files(home / "store") == []
    draft.discard()
