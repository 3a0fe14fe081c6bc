"""Leases of the lake's partitions: one holder at a time, in a folder and in a bucket alike."""

import datetime as dt
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from finops_pipeline.errors import LeaseHeldError
from finops_pipeline.lake import Lake, Stamp
from finops_pipeline.schemas import USAGE

DAY = dt.date(2026, 10, 1)

HOLDER = """
import datetime as dt, sys
from finops_pipeline.errors import LeaseHeldError
from finops_pipeline.storage import open_storage
storage, lease = open_storage(sys.argv[1]), None
print("ready", flush=True)
sys.stdin.readline()
try:
    lease = storage._acquire(sys.argv[2])
except LeaseHeldError:
    print("held", flush=True)
else:
    print("taken", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def lake(root: Path | str) -> Lake:
    return Lake(root)


def holder(lake: Lake, what: str = "usage-source=a-date=2026-10-01") -> subprocess.Popen[str]:
    """A process that tries to take the lease when it is told to, says how that went, and lives until it is told."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, lake.storage.root, what],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def lease_files(lake: Lake) -> list[str]:
    return [file.name for file in lake.storage.files("_leases/")]


def test_a_lease_is_held_for_the_block_and_free_after(lake: Lake) -> None:
    with lake.lease(USAGE, source="bedrock", date=DAY):
        with (
            pytest.raises(LeaseHeldError, match="usage-source=bedrock-date=2026-10-01 is being written by process"),
            lake.lease(USAGE, source="bedrock", date=DAY),
        ):
            pass
        with lake.lease(USAGE, source="gateway", date=DAY), lake.lease(USAGE, source="bedrock", date="2026-10-02"):
            pass
        assert lease_files(lake) == ["_leases/usage-source=bedrock-date=2026-10-01.json"]
    with lake.lease(USAGE, source="bedrock", date=DAY):
        pass
    assert lease_files(lake) == []


def test_a_lease_says_whose_it_is(lake: Lake) -> None:
    with lake.lease(USAGE, source="a/b", date=DAY):
        (name,) = lease_files(lake)
        found = lake.storage.read(name)
        with (
            pytest.raises(LeaseHeldError, match="usage-source=a/b-date") as caught,
            Lake(lake.storage.root).lease(USAGE, source="a/b", date=DAY),
        ):
            pass
    assert found is not None
    owner = json.loads(found.content)
    assert f"process {owner['pid']} on {owner['host']}" in str(caught.value)


def test_a_lease_is_free_after_an_error(lake: Lake) -> None:
    with pytest.raises(RuntimeError), lake.lease(USAGE, source="bedrock", date=DAY):
        raise RuntimeError
    with lake.lease(USAGE, source="bedrock", date=DAY):
        pass


def test_a_lease_needs_all_keys(lake: Lake) -> None:
    with pytest.raises(ValueError, match="needs the partition key date"), lake.lease(USAGE, source="bedrock"):
        pass


def test_of_24_threads_one_takes_it(lake: Lake) -> None:
    together, all_tried = threading.Barrier(24), threading.Barrier(24)

    def take(_: int) -> bool:
        with ExitStack() as stack:
            together.wait()
            try:
                stack.enter_context(lake.lease(USAGE, source="bedrock", date=DAY))
                return True
            except LeaseHeldError:
                return False
            finally:
                all_tried.wait()

    with ThreadPoolExecutor(24) as pool:
        assert sorted(pool.map(take, range(24))) == [False] * 23 + [True]


def test_of_8_processes_one_takes_it(lake: Lake) -> None:
    with ExitStack() as stack:
        processes = [stack.enter_context(holder(lake)) for _ in range(8)]
        assert [said(p) for p in processes] == ["ready"] * 8
        for process in processes:
            tell(process)
        assert sorted(said(p) for p in processes) == ["held"] * 7 + ["taken"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"x"', b"{}", b'{"host": "h", "pid": 1, "expires": "soon"}'])
def test_a_lease_file_that_says_nothing_is_abandoned(lake: Lake, content: bytes) -> None:
    lake.storage.write("_leases/usage-source=a-date=2026-10-01.json", content)
    with lake.lease(USAGE, source="a", date=DAY):
        pass
    assert lease_files(lake) == []


def test_a_patient_run_takes_the_lease_when_it_is_given_back(lake: Lake) -> None:
    given_back, lost_patience = ExitStack(), dt.timedelta(minutes=1)
    given_back.enter_context(lake.lease(USAGE, source="a", date=DAY))

    def wait() -> bool:
        with lake.lease(USAGE, wait=lost_patience, source="a", date=DAY):
            return True

    with ThreadPoolExecutor(1) as pool:
        patient = pool.submit(wait)
        given_back.close()
        assert patient.result(timeout=60)


def test_patience_ends(lake: Lake) -> None:
    with (
        lake.lease(USAGE, source="a", date=DAY),
        pytest.raises(LeaseHeldError),
        lake.lease(USAGE, wait=dt.timedelta(milliseconds=1), source="a", date=DAY),
    ):
        pass


def test_who_has_lost_its_lease_writes_nothing_and_leaves_the_next_holders_alone(lake: Lake) -> None:
    """As after a run that was held up for longer than its lease lasts."""
    name = "_leases/usage-source=a-date=2026-10-01.json"
    held_up = Lake(lake.storage.root)
    with held_up.lease(USAGE, source="a", date=DAY):
        lake.storage.write(name, b"another run's")
        _let_time_pass(held_up)
        with pytest.raises(LeaseHeldError, match="taken over by another run"):
            held_up.storage.write("reports/page.html", b"late")
        with pytest.raises(LeaseHeldError, match="taken over by another run"):
            held_up.write(USAGE, USAGE.empty(), Stamp(1, "", ""), source="a", date=DAY)
    assert lake.storage.read("reports/page.html") is None
    assert lake.parts(USAGE) == []
    found = lake.storage.read(name)
    assert found is not None
    assert found.content == b"another run's"


def _let_time_pass(lake: Lake) -> None:
    """Make a lease in a bucket as old as if it had not been renewed; one in a folder is looked at each time."""
    for lease in lake.storage._held:
        if hasattr(lease, "_renewed"):
            lease._renewed = (0.0, 0.0)
