"""The JSON files of one folder of a lake: named without their suffix. How they are changed is the storage's matter."""

from pathlib import Path

import pytest

from finops_pipeline.delivery.versioned import VersionedFiles
from finops_pipeline.storage import open_storage


@pytest.fixture
def files(root: Path | str) -> VersionedFiles:
    return VersionedFiles(open_storage(root), "deliveries")


def test_a_file_is_created_once_and_replaced_in_its_version(files: VersionedFiles) -> None:
    first = files.create("a", b"first")
    assert first is not None
    assert files.create("a", b"second") is None
    second = files.replace("a", b"second", first)
    assert second is not None
    assert files.replace("a", b"third", first) is None
    assert files.read("a") == (b"second", second)


def test_what_is_not_there_is_neither_read_nor_replaced(files: VersionedFiles) -> None:
    assert files.read("a") is None
    assert files.replace("a", b"x", "any") is None
    assert files.names() == []


def test_names_are_sorted_and_only_those_of_the_folders_json_files(files: VersionedFiles, root: Path | str) -> None:
    for name in ("b", "a", "a-1"):
        files.create(name, b"{}")
    for name in ("deliveries/readme.txt", "deliveries/.x.json", "deliveries/old/c.json", "deliveries-2/d.json"):
        open_storage(root).write(name, b"{}")
    assert files.names() == ["a", "a-1", "b"]
    assert [(name, file.content) for name, file in files.all().items()] == [(name, b"{}") for name in files.names()]
