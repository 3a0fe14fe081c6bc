"""Small files that are put in place by one atomic step."""

import os
import stat
from pathlib import Path

import pytest

from finops_pipeline.errors import LakeError
from finops_pipeline.files import naming_the_lake, write_atomically


def test_a_file_is_made_with_its_folders_and_is_readable_by_others(tmp_path: Path) -> None:
    file = tmp_path / "reports/month=2026-10/index.html"
    write_atomically(file, b"first")
    assert file.read_bytes() == b"first"
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    write_atomically(file, b"second")
    assert file.read_bytes() == b"second"
    assert [entry.name for entry in file.parent.iterdir()] == ["index.html"]


def test_content_and_folders_are_on_disk_before_it_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []

    def recorded(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", recorded)
    file = tmp_path / "a/b/page.html"
    write_atomically(file, b"content")
    assert synced[0] == file.stat().st_ino, "the content before its name"
    assert set(synced[1:]) == {folder.stat().st_ino for folder in (tmp_path / "a/b", tmp_path / "a", tmp_path)}


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "page.html"
    write_atomically(file, b"before")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(file, b"after")
    assert file.read_bytes() == b"before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"]


def test_an_error_in_the_lake_names_the_file_and_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "deliveries").write_text("a file where the folder should be")
    file = tmp_path / "deliveries/key.json"
    with (
        pytest.raises(LakeError, match=r"key[.]json: cannot be written .*`lake` in finops[.]yaml"),
        naming_the_lake(file),
    ):
        write_atomically(file, b"")
