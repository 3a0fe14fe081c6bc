"""What a lake asks of its storage, of folders and of S3 alike."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from finops_pipeline.errors import LakeError
from finops_pipeline.storage import Storage, Stored, Versioned, open_storage


@pytest.fixture
def storage(root: Path | str) -> Storage:
    return open_storage(root)


def names(storage: Storage, prefix: str) -> list[str]:
    return sorted(file.name for file in storage.files(prefix))


def publish(storage: Storage, name: str, content: bytes) -> None:
    with storage.staged() as staged:
        staged.write_bytes(content)
        storage.publish(staged, name)


def test_a_place_is_what_people_write(storage: Storage, root: Path | str) -> None:
    assert storage.place() == str(root)
    assert storage.place("reports/index.html") == f"{root}/reports/index.html"


def test_a_lake_may_be_a_whole_bucket() -> None:
    assert open_storage("s3://bucket").place("a/b") == "s3://bucket/a/b"
    assert open_storage("s3://bucket/a/b/").place() == "s3://bucket/a/b"


def test_files_are_found_by_the_beginning_of_their_names(storage: Storage) -> None:
    for name in ("t/date=2026-10-01/p", "t/date=2026-10-12/p", "t/date=2026-11-01/p", "t/x", "tt/y"):
        storage.write(name, b"1")
    assert names(storage, "t/date=2026-10-") == ["t/date=2026-10-01/p", "t/date=2026-10-12/p"]
    assert names(storage, "t/") == ["t/date=2026-10-01/p", "t/date=2026-10-12/p", "t/date=2026-11-01/p", "t/x"]
    assert storage.folders("t/") == ["date=2026-10-01", "date=2026-10-12", "date=2026-11-01"]
    assert (names(storage, "none/"), storage.folders("none/")) == ([], [])


def test_hidden_files_are_none(storage: Storage) -> None:
    for name in ("a/.guard", "a/.hidden/b", "a/c"):
        storage.write(name, b"1")
    assert names(storage, "a/") == ["a/c"]
    assert names(storage, "") == ["a/c"]


def test_more_files_than_a_page_of_a_listing_holds(s3_uri: str) -> None:
    storage = open_storage(s3_uri)
    wanted = [f"t/{n:04}" for n in range(1005)]
    storage.each(lambda name: storage.write(name, b""), wanted)
    assert names(storage, "t/") == wanted


def test_a_file_says_what_was_last_written(storage: Storage) -> None:
    assert storage.read("a/b.json") is None
    storage.write("a/b.json", b"first")
    storage.write("a/b.json", b"second")
    found = storage.read("a/b.json")
    assert found is not None
    assert found.content == b"second"


@pytest.mark.parametrize("name", ["team%2Fsearch", "it's 50% Ünder & ober+=?#", "a b"])
def test_any_name_is_a_name(storage: Storage, name: str) -> None:
    storage.write(f"t/{name}/p", b"1")
    assert names(storage, "t/") == [f"t/{name}/p"]
    assert storage.folders("t/") == [name]
    assert storage.read(f"t/{name}/p") is not None


def test_the_end_of_a_file(storage: Storage) -> None:
    publish(storage, "t/p", b"0123456789")
    publish(storage, "t/empty", b"")
    assert [storage.tail(name, 4) for name in ("t/none",)] == [None]
    for name, size, end in (
        ("t/p", 4, b"6789"),
        ("t/p", 10, b"0123456789"),
        ("t/p", 99, b"0123456789"),
        ("t/empty", 4, b""),
    ):
        found = storage.tail(name, size)
        assert found is not None
        assert found.content == end


def test_a_published_file_is_whole_and_staged_files_are_none(storage: Storage) -> None:
    with storage.staged() as staged:
        staged.write_bytes(b"rows")
        assert names(storage, "t/") == []
        storage.publish(staged, "t/date=1/p.parquet")
    assert not staged.exists()
    (file,) = storage.files("t/")
    assert storage.fetch(file).read_bytes() == b"rows"
    assert storage.fetch(file).match("t/date=1/*.parquet"), "readers find the keys in the path"


def test_a_file_that_was_replaced_is_fetched_anew(storage: Storage) -> None:
    for content in (b"old", b"new", b"old"):
        publish(storage, "t/p", content)
        (file,) = storage.files("t/")
        assert storage.fetch(file).read_bytes() == content
        assert storage.fetch(Stored("t/p")).read_bytes() == content


def test_looking_at_many_keeps_their_order(storage: Storage) -> None:
    assert storage.each(lambda n: n * n, range(50)) == [n * n for n in range(50)]
    assert storage.each(lambda n: n, []) == []


# -- changed by many, none over another -------------------------------------------------------------------------------


def test_a_file_is_created_once(storage: Storage) -> None:
    version = storage.create("f/a.json", b"first")
    assert version is not None
    assert storage.create("f/a.json", b"second") is None
    assert storage.read("f/a.json") == (b"first", version)


def test_a_file_is_replaced_in_the_version_that_was_read(storage: Storage) -> None:
    first = storage.create("f/a.json", b"first")
    assert first is not None
    second = storage.replace("f/a.json", b"second", first)
    assert second is not None
    assert storage.replace("f/a.json", b"third", first) is None
    assert storage.read("f/a.json") == (b"second", second)


def test_what_is_not_there_is_not_replaced(storage: Storage) -> None:
    assert storage.replace("f/a.json", b"x", "0" * 32) is None
    assert storage.read("f/a.json") is None


def test_of_many_that_create_one_wins(storage: Storage) -> None:
    together = threading.Barrier(16)

    def create(_: int) -> bool:
        together.wait()
        return storage.create("f/a.json", b"the same words") is not None

    with ThreadPoolExecutor(16) as pool:
        assert sorted(pool.map(create, range(16))) == [False] * 15 + [True]


def test_of_many_that_count_up_none_is_lost(storage: Storage) -> None:
    storage.create("f/count", b"0")

    def add_one(_: int) -> None:
        while (found := storage.read("f/count")) and storage.replace(
            "f/count", str(int(found.content) + 1).encode(), found.version
        ) is None:
            pass

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add_one, range(64)))
    found = storage.read("f/count")
    assert found is not None
    assert found.content == b"64"


def test_a_reader_never_sees_half_a_file(storage: Storage) -> None:
    contents = [str(n).encode() * 10_000 for n in range(10)]
    done = threading.Event()

    def write() -> None:
        for content in contents:
            storage.create("f/a", content)
            found = storage.read("f/a")
            assert found is not None
            storage.replace("f/a", content, found.version)
        done.set()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        seen: set[bytes | None] = set()
        while not done.is_set():
            found = storage.read("f/a")
            seen.add(found.content if found else None)
        writing.result()
    assert seen <= {None, *contents}


# -- can it be used ---------------------------------------------------------------------------------------------------


def test_a_storage_is_tried_and_nothing_is_left(storage: Storage) -> None:
    storage.check_reachable()
    storage.check_writable()
    assert storage.files("") == []


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    storage = open_storage(tmp_path / "file")
    for look in (storage.check_reachable, lambda: storage.folders("f/"), lambda: storage.read("f/a")):
        with pytest.raises(LakeError, match=r"file.*: (.* is no folder|cannot be (listed|read))"):
            look()
    for write in (storage.check_writable, lambda: storage.write("a", b""), lambda: storage.create("f/a", b"")):
        with pytest.raises(LakeError, match="cannot be written"):
            write()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")
def test_a_folder_without_permission_is_told_before_a_run(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(LakeError, match="cannot be written"):
        open_storage(tmp_path / "lake").check_reachable()


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = open_storage(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(LakeError, match="No space left"):
            storage.create("f/a", b"first")
    assert storage.read("f/a") is None
    assert storage.create("f/a", b"second") is not None


def test_files_can_be_read_where_the_guard_was_not_copied(tmp_path: Path) -> None:
    storage = open_storage(tmp_path)
    version = storage.create("f/a", b"first")
    (tmp_path / "f/.guard").unlink()
    assert storage.read("f/a") == (b"first", version)


def test_whoever_looks_before_the_first_file_is_there_never_sees_half_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = open_storage(tmp_path)
    look = type(storage)._read

    def look_while_the_first_is_made(self: Storage, name: str) -> Versioned:
        monkeypatch.setattr(type(storage), "_read", look)
        storage.create("f/a", b"whole")
        return Versioned(b"", "half")

    monkeypatch.setattr(type(storage), "_read", look_while_the_first_is_made)
    found = storage.read("f/a")
    assert found is not None
    assert found.content == b"whole"
