"""Leases: one holder at a time, given up by the death of its process or, from another host, by its age."""

import datetime as dt
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from finops_pipeline import leases
from finops_pipeline.errors import LeaseHeldError
from finops_pipeline.lake import Lake
from finops_pipeline.schemas import USAGE

DAY = dt.date(2026, 10, 1)

HOLDER = """
import sys
from pathlib import Path
from finops_pipeline import leases
from finops_pipeline.errors import LeaseHeldError
try:
    leases.acquire(Path(sys.argv[1]))
except LeaseHeldError:
    print("held", flush=True)
else:
    print("taken", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def holder(file: Path) -> subprocess.Popen[str]:
    """A process that tries to take the lease, says how that went and lives until its standard input ends."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_lease_is_held_for_the_block_and_free_after(lake: Lake) -> None:
    with lake.lease(USAGE, source="bedrock", date=DAY):
        with (
            pytest.raises(LeaseHeldError, match="usage-source=bedrock-date=2026-10-01 is being written by process"),
            lake.lease(USAGE, source="bedrock", date=DAY),
        ):
            pass
        with lake.lease(USAGE, source="gateway", date=DAY), lake.lease(USAGE, source="bedrock", date="2026-10-02"):
            pass
    with lake.lease(USAGE, source="bedrock", date=DAY):
        pass
    assert [f.name for f in (lake.root / "_leases").iterdir()] == [".guard"]


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


def test_of_24_processes_one_takes_it(tmp_path: Path) -> None:
    file = tmp_path / "lease.json"
    with ExitStack() as stack:
        processes = [stack.enter_context(holder(file)) for _ in range(24)]
        assert sorted(said(p) for p in processes) == ["held"] * 23 + ["taken"]


def test_a_lease_dies_with_its_process(tmp_path: Path) -> None:
    file = tmp_path / "lease.json"
    with holder(file) as process:
        assert said(process) == "taken"
        with pytest.raises(LeaseHeldError, match=f"process {process.pid} on "):
            leases.acquire(file)
        process.kill()
    assert file.exists(), "nobody was left to give it back"
    leases.release(file, leases.acquire(file))
    assert not file.exists()


def test_a_process_id_that_is_in_use_again_keeps_no_lease_alive(tmp_path: Path) -> None:
    file = tmp_path / "lease.json"
    leases.release(file, leases.acquire(file))
    lock = leases.acquire(file)
    mine = file.read_text()
    leases.release(file, lock)
    file.write_text(mine)  # as a container leaves it that was killed and started again: same host, same process id
    leases.release(file, leases.acquire(file))


def foreign(expires: dt.datetime) -> str:
    return json.dumps({"host": "another-host.invalid", "pid": 1, "expires": expires.isoformat()})


def test_another_host_holds_it_until_it_expires(tmp_path: Path) -> None:
    file = tmp_path / "lease.json"
    now = dt.datetime.now(dt.UTC)
    file.write_text(foreign(now + dt.timedelta(minutes=1)))
    with pytest.raises(LeaseHeldError, match=r"process 1 on another-host\.invalid\..* delete "):
        leases.acquire(file)
    file.write_text(foreign(now - dt.timedelta(seconds=1)))
    leases.release(file, leases.acquire(file))


def test_an_expired_lease_is_given_back_without_touching_the_next_holders(tmp_path: Path) -> None:
    file = tmp_path / "lease.json"
    lock = leases.acquire(file)
    file.unlink()
    file.write_text(foreign(dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)))  # another host took it over
    leases.release(file, lock)
    assert "another-host" in file.read_text()


@pytest.mark.parametrize("content", ["", "{", "[]", '"x"', "{}", '{"host": "h", "pid": 1, "expires": "soon"}'])
def test_a_lease_file_that_says_nothing_is_abandoned(tmp_path: Path, content: str) -> None:
    file = tmp_path / "lease.json"
    file.write_text(content)
    leases.release(file, leases.acquire(file))


def test_a_patient_run_takes_the_lease_when_it_is_given_back(tmp_path: Path) -> None:
    file = tmp_path / "lease.json"
    held = leases.acquire(file)
    with ThreadPoolExecutor(1) as pool:
        patient = pool.submit(leases.acquire, file, dt.timedelta(minutes=1))
        leases.release(file, held)
        leases.release(file, patient.result(timeout=60))
    leases.release(file, leases.acquire(file))


def test_patience_ends(tmp_path: Path) -> None:
    file = tmp_path / "lease.json"
    held = leases.acquire(file)
    with pytest.raises(LeaseHeldError):
        leases.acquire(file, dt.timedelta(milliseconds=1))
    leases.release(file, held)
