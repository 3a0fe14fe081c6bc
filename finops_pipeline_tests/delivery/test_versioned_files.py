"""Files that many change, none over another."""

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from finops_pipeline.delivery.versioned import VersionedFiles
from finops_pipeline.errors import LakeError


@pytest.fixture
def files(tmp_path: Path) -> VersionedFiles:
    return VersionedFiles(tmp_path / "folder")


def test_a_file_is_created_once(files: VersionedFiles) -> None:
    version = files.create("a", b"first")
    assert version is not None
    assert files.create("a", b"second") is None
    assert files.read("a") == (b"first", version)


def test_a_file_is_replaced_in_the_version_that_was_read(files: VersionedFiles) -> None:
    first = files.create("a", b"first")
    assert first is not None
    second = files.replace("a", b"second", first)
    assert second is not None
    assert files.replace("a", b"third", first) is None
    assert files.read("a") == (b"second", second)


def test_what_is_not_there_is_neither_read_nor_replaced(files: VersionedFiles) -> None:
    assert files.read("a") is None
    assert files.replace("a", b"x", "any") is None
    assert files.names() == []


def test_names_are_sorted_and_hidden_files_none(files: VersionedFiles) -> None:
    for name in ("b", "a", "a-1"):
        files.create(name, b"{}")
    assert files.names() == ["a", "a-1", "b"]


def test_files_can_be_read_where_the_guard_was_not_copied(files: VersionedFiles) -> None:
    files.create("a", b"first")
    (files.folder / ".guard").unlink()
    found = files.read("a")
    assert found is not None
    assert found.content == b"first"


def test_on_a_full_disk_nothing_half_written_is_left(files: VersionedFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*rest: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(LakeError, match="No space left"):
            files.create("a", b"first")
    assert files.read("a") is None
    assert files.create("a", b"second") is not None


def test_a_reader_never_sees_half_a_file(files: VersionedFiles) -> None:
    contents = [str(n).encode() * 10_000 for n in range(10)]
    done = threading.Event()

    def write() -> None:
        for content in contents:
            files.create("a", content)
            found = files.read("a")
            assert found is not None
            files.replace("a", content, found.version)
        done.set()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        seen = set()
        while not done.is_set():
            found = files.read("a")
            seen.add(found.content if found else None)
        writing.result()
    assert seen <= {None, *contents}


def test_whoever_looks_before_the_first_file_is_there_never_sees_half_of_it(
    files: VersionedFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = VersionedFiles._read

    def look_while_the_first_is_made(self: VersionedFiles, name: str) -> object:
        monkeypatch.setattr(VersionedFiles, "_read", look)
        files.create("a", b"whole")
        return b"", "half"

    monkeypatch.setattr(VersionedFiles, "_read", look_while_the_first_is_made)
    found = files.read("a")
    assert found is not None
    assert found.content == b"whole"


def test_of_many_that_count_up_none_is_lost(files: VersionedFiles) -> None:
    files.create("count", b"0")

    def add_one(_: int) -> None:
        while (found := files.read("count")) and files.replace(
            "count", str(int(found.content) + 1).encode(), found.version
        ) is None:
            pass

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add_one, range(64)))
    found = files.read("count")
    assert found is not None
    assert found.content == b"64"


def test_a_folder_that_is_none_is_named(files: VersionedFiles) -> None:
    files.folder.write_text("a file")
    with pytest.raises(LakeError, match=r"folder/a\.json: cannot be written"):
        files.create("a", b"x")
    with pytest.raises(LakeError, match="folder: cannot be read"):
        files.names()
    with pytest.raises(LakeError, match=r"folder/a\.json: cannot be read"):
        files.read("a")
