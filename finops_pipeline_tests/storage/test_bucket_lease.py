"""Leases in a bucket: alive as long as they are renewed, taken over by one run when they are not."""

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from finops_pipeline.errors import LakeError, LeaseHeldError
from finops_pipeline.storage import bucket_lease
from finops_pipeline.storage.bucket import BucketStorage
from finops_pipeline.storage.bucket_lease import BucketLease

NAME = "_leases/partition.json"


@pytest.fixture
def storage(s3_uri: str) -> BucketStorage:
    bucket, _, prefix = s3_uri.removeprefix("s3://").partition("/")
    return BucketStorage(bucket, prefix)


def acquire(storage: BucketStorage) -> BucketLease:
    return BucketLease(storage, "partition")


def owner(seconds: float) -> bytes:
    return json.dumps({"host": "another-host", "pid": 7, "token": "theirs", "seconds": seconds}).encode()


def content(storage: BucketStorage) -> bytes | None:
    found = storage.read(NAME)
    return None if found is None else found.content


def test_a_lease_without_a_sign_of_life_is_taken_over(storage: BucketStorage) -> None:
    storage.create(NAME, owner(seconds=3600))
    with pytest.raises(LeaseHeldError, match=r"process 7 on another-host\. .* 3600 s after its last sign of life"):
        acquire(storage)
    storage.write(NAME, owner(seconds=0))
    acquire(storage).release()
    assert content(storage) is None


DIES_WITH_A_LEASE = """
import os, sys
from finops_pipeline.storage import open_storage
with open_storage(sys.argv[1]).lease("partition"):
    print("taken", flush=True)
    sys.stdin.readline()
    os._exit(9)
"""


def test_a_run_that_was_killed_on_this_machine_is_not_waited_for(storage: BucketStorage) -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", DIES_WITH_A_LEASE, storage.root], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert run.stdout is not None
    assert run.stdout.readline() == b"taken\n"
    with pytest.raises(LeaseHeldError, match=f"process {run.pid} on "):
        acquire(storage)
    run.communicate(b"die\n")
    assert run.returncode == 9
    acquire(storage).release()
    assert content(storage) is None


def test_of_many_that_take_an_abandoned_lease_over_one_wins(storage: BucketStorage) -> None:
    storage.create(NAME, owner(seconds=0))
    together, all_tried = threading.Barrier(12), threading.Barrier(12)

    def take(_: int) -> bool:
        together.wait()
        try:
            lease = acquire(storage)
        except LeaseHeldError:
            all_tried.wait()
            return False
        all_tried.wait()
        lease.release()
        return True

    with ThreadPoolExecutor(12) as pool:
        assert sorted(pool.map(take, range(12))) == [False] * 11 + [True]
    assert content(storage) is None


def test_a_lease_is_renewed_while_it_is_held(storage: BucketStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    renewed, replace = threading.Semaphore(0), BucketStorage.replace

    def counted(self: BucketStorage, *what: Any) -> str | None:
        try:
            return replace(self, *what)
        finally:
            renewed.release()

    monkeypatch.setattr(BucketStorage, "replace", counted)
    monkeypatch.setattr(bucket_lease, "SECONDS", 0.2)
    lease = acquire(storage)
    for _ in range(3):
        assert renewed.acquire(timeout=60)
    lease.confirm()
    lease.release()
    assert content(storage) is None


def test_a_renewal_whose_answer_was_lost_loses_no_lease(
    storage: BucketStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease, replace = acquire(storage), BucketStorage.replace

    def cut_off(self: BucketStorage, *what: Any) -> None:
        replace(self, *what)
        raise LakeError("the line broke")

    lease._renewed = (0.0, 0.0)
    with monkeypatch.context() as patched:
        patched.setattr(BucketStorage, "replace", cut_off)
        with pytest.raises(LakeError, match="the line broke"):
            lease.confirm()
    lease.confirm()
    lease.release()
    assert content(storage) is None


def test_a_lost_lease_is_neither_confirmed_nor_given_back(storage: BucketStorage) -> None:
    lease = acquire(storage)
    storage.write(NAME, owner(seconds=3600))
    lease._renewed = (0.0, 0.0)
    for _ in range(2):
        with pytest.raises(LeaseHeldError, match="partition was taken over by another run"):
            lease.confirm()
    lease.release()
    assert content(storage) == owner(seconds=3600)


def test_a_lease_that_somebody_has_deleted_is_lost(storage: BucketStorage) -> None:
    lease = acquire(storage)
    storage.delete(NAME)
    lease._renewed = (0.0, 0.0)
    with pytest.raises(LeaseHeldError):
        lease.confirm()
    lease.release()


def test_while_the_server_is_away_nothing_is_confirmed_and_release_says_nothing(
    storage: BucketStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = acquire(storage)

    def away(*_: Any) -> None:
        raise LakeError("no answer")

    with monkeypatch.context() as patched:
        for request in ("replace", "read"):
            patched.setattr(BucketStorage, request, away)
        lease.confirm()  # renewed a moment ago
        lease._renewed = (0.0, 0.0)
        with pytest.raises(LakeError, match="no answer"):
            lease.confirm()
        lease.release()
    assert content(storage) is not None, "it ends by its age"
