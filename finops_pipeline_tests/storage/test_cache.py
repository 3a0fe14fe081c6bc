"""Local copies of a lake's files: one a version, bounded, safe for many at once."""

import os
import shutil
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from finops_pipeline.errors import LakeError
from finops_pipeline.storage import Stored, cache
from finops_pipeline.storage.cache import IN_USE_SECONDS, Cache, cache_of

ROOT = "s3://bucket/lake"


def file(name: str = "t/date=2026-10-01/part-0.parquet", version: str = "v1") -> Stored:
    return Stored(name, version)


def keep(copies: Cache, what: Stored, content: bytes = b"rows", *, age: float = 0) -> Path:
    with copies.unfinished() as beside:
        beside.write_bytes(content)
        path = copies.keep(beside, what)
    assert not beside.exists()
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_a_copy_is_found_by_name_and_version(tmp_path: Path) -> None:
    copies = Cache(tmp_path, ROOT)
    path = keep(copies, file())
    assert copies.find(file()) == path
    assert path.match("t/date=2026-10-01/part-0.*.parquet"), "readers find the keys in the path"
    assert copies.find(file(version="v2")) is None
    assert copies.find(file(name="t/other")) is None
    assert Cache(tmp_path, ROOT).find(file()) == path, "another process finds it too"
    assert Cache(tmp_path, "s3://bucket/other").find(file()) is None


def test_a_version_is_fit_for_a_file_name_whatever_the_server_calls_it(tmp_path: Path) -> None:
    copies = Cache(tmp_path, ROOT)
    path = keep(copies, file(version="../../W/weird=tag"))
    assert path.parent == keep(copies, file()).parent
    assert "weird=" not in path.name


def test_what_is_unfinished_when_its_maker_fails_is_deleted(tmp_path: Path) -> None:
    def fail() -> None:
        with Cache(tmp_path, ROOT).unfinished() as beside:
            beside.write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    copies = Cache(tmp_path, ROOT, max_bytes=30)
    for n, age in enumerate((5, 3, 4)):
        keep(copies, file(f"t/{n}"), b"x" * 10, age=age * IN_USE_SECONDS)
    keep(copies, file("t/new"), b"x" * 10)
    assert [copies.find(file(f"t/{n}")) is not None for n in (0, 1, 2, "new")] == [False, True, True, True]
    keep(copies, file("t/newer"), b"x" * 10)  # what was asked for a moment ago counts as used
    assert [copies.find(file(f"t/{n}")) is not None for n in (1, 2, "new", "newer")] == [True] * 4


def test_what_is_in_use_stays_though_it_is_too_much(tmp_path: Path) -> None:
    copies = Cache(tmp_path, ROOT, max_bytes=5)
    for n in range(4):
        keep(copies, file(f"t/{n}"), b"x" * 10)
    assert all(copies.find(file(f"t/{n}")) for n in range(4))


def test_other_lakes_and_what_dead_runs_left_count_too(tmp_path: Path) -> None:
    with Cache(tmp_path, "s3://bucket/other").unfinished() as left:
        left.write_bytes(b"x" * 100)
        os.utime(left, (0, 0))
        keep(Cache(tmp_path, ROOT, max_bytes=50), file())
        assert not left.exists()


def test_many_at_once_keep_the_same_file(tmp_path: Path) -> None:
    copies = [Cache(tmp_path, ROOT) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda each: keep(each, file()), copies))
    assert [path.read_bytes() for path in paths] == [b"rows"]


def test_nobody_else_may_read_the_copies(tmp_path: Path) -> None:
    keep(Cache(tmp_path / "cache", ROOT), file())
    assert stat.S_IMODE(next((tmp_path / "cache").iterdir()).stat().st_mode) == 0o700


def test_the_folder_is_chosen_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINOPS_CACHE", str(tmp_path / "kept"))
    assert keep(cache_of(ROOT), file()).is_relative_to(tmp_path / "kept")


def test_without_one_it_is_the_processs_own_and_goes_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FINOPS_CACHE", raising=False)
    leaving: list[Path] = []
    monkeypatch.setattr(cache.atexit, "register", lambda _remove, folder, **_: leaving.append(folder))
    cache._folder_of.cache_clear()
    try:
        path = keep(cache_of(ROOT), file())
        assert keep(cache_of("s3://bucket/other"), file()).is_relative_to(leaving[0])
        assert path.is_relative_to(leaving[0])
    finally:
        cache._folder_of.cache_clear()
        cache.shutil.rmtree(leaving[0])


def test_files_in_the_making_are_not_taken_away_from_who_makes_them(tmp_path: Path) -> None:
    small = Cache(tmp_path, ROOT, max_bytes=1)
    long_ago = time.time() - 2 * cache.IN_USE_SECONDS
    with small.unfinished() as beside:
        beside.write_bytes(b"rows")
        os.utime(beside, (long_ago, long_ago))
        old = keep(small, file("t/a"))
        os.utime(old, (long_ago, long_ago))
        keep(Cache(tmp_path, ROOT, max_bytes=1), file("t/b"))
        assert not old.exists()
        assert beside.exists()


def test_a_cache_that_is_deleted_while_in_use_fills_again(tmp_path: Path) -> None:
    kept = Cache(tmp_path / "cache", ROOT)
    keep(kept, file())
    shutil.rmtree(tmp_path / "cache")
    assert kept.find(file()) is None
    assert kept.find(file()) is None
    assert keep(kept, file()).exists()


def test_a_cache_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    unusable = Cache(tmp_path / "file", ROOT)
    for use in (unusable.find, lambda stored: keep(unusable, stored)):
        with pytest.raises(LakeError, match=r"file: the cache of the lake cannot be used .* FINOPS_CACHE"):
            use(file())
    with pytest.raises(LakeError, match="= in its name"):
        Cache(tmp_path / "a=b", ROOT)
