"""Leases in a folder: given up by the death of their process or, from another host, by their age."""

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path

import pytest

from finops_pipeline.errors import LeaseHeldError
from finops_pipeline.storage.folder_lease import FolderLease

HOLDER = """
import sys
from pathlib import Path
from finops_pipeline.storage.folder_lease import FolderLease
lease = FolderLease("the partition", Path(sys.argv[1]))
print("taken", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "lease.json"


def acquire(file: Path) -> FolderLease:
    return FolderLease("the partition", file)


def foreign(expires: dt.datetime) -> str:
    return json.dumps({"host": "another-host.invalid", "pid": 1, "expires": expires.isoformat()})


def test_a_lease_dies_with_its_process(file: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "taken\n"
        with pytest.raises(LeaseHeldError, match=f"process {process.pid} on "):
            acquire(file)
        process.kill()
    assert file.exists(), "nobody was left to give it back"
    acquire(file).release()
    assert not file.exists()


def test_a_process_id_that_is_in_use_again_keeps_no_lease_alive(file: Path) -> None:
    lease = acquire(file)
    mine = file.read_text()
    lease.release()
    file.write_text(mine)  # as a container leaves it that was killed and started again: same host, same process id
    acquire(file).release()


def test_another_host_holds_it_until_it_expires(file: Path) -> None:
    now = dt.datetime.now(dt.UTC)
    file.write_text(foreign(now + dt.timedelta(minutes=1)))
    with pytest.raises(LeaseHeldError, match=r"process 1 on another-host\.invalid\..* delete "):
        acquire(file)
    file.write_text(foreign(now - dt.timedelta(seconds=1)))
    acquire(file).release()


def test_an_expired_lease_is_given_back_without_touching_the_next_holders(file: Path) -> None:
    lease = acquire(file)
    file.unlink()
    file.write_text(foreign(dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)))  # another host took it over
    with pytest.raises(LeaseHeldError, match="the partition was taken over"):
        lease.confirm()
    lease.release()
    assert "another-host" in file.read_text()


def test_a_lease_that_is_still_held_is_confirmed(file: Path) -> None:
    lease = acquire(file)
    lease.confirm()
    lease.release()
