"""Signs of life: who runs, who is gone, and what the gone have left."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from finops_pipeline import alive

SAYS_ITS_SIGN = """
import sys, tempfile
tempfile.tempdir = sys.argv[1]
from finops_pipeline.alive import own_folder, own_sign
print(own_sign(), own_folder("finops-trial"), flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files in which this process has no sign yet."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    alive._sign_of.cache_clear()
    yield tmp_path
    alive._sign_of.cache_clear()


class Other:
    """Another process with a sign and a folder."""

    def __init__(self, temporary: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SAYS_ITS_SIGN, str(temporary)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.sign, folder = self.process.stdout.readline().split()
        self.folder = Path(folder)

    def killed(self) -> None:
        self.process.kill()
        self.process.communicate()

    def ended(self) -> None:
        self.process.communicate("\n")


def test_a_process_is_gone_once_it_was_killed(temporary: Path) -> None:
    other = Other(temporary)
    assert not alive.has_ended(other.sign)
    assert other.folder.exists()
    assert alive.own_folder("finops-trial").parent == temporary
    assert other.folder.exists(), "it is in use"
    other.killed()
    assert alive.has_ended(other.sign)


def test_the_folder_of_a_process_that_was_killed_is_deleted_by_the_next(temporary: Path) -> None:
    killed, running = Other(temporary), Other(temporary)
    (killed.folder / "log").write_text("a prompt")
    another_kind = temporary / f"finops-other-{killed.sign}-x"
    another_kind.mkdir()
    killed.killed()
    own = alive.own_folder("finops-trial")
    assert not killed.folder.exists()
    assert own.exists()
    assert running.folder.exists()
    assert another_kind.exists()
    running.ended()


def test_the_sign_of_a_process_that_ended_goes_with_it_and_its_folder_with_the_next(temporary: Path) -> None:
    other = Other(temporary)
    other.ended()
    assert not alive.has_ended(other.sign), "nothing is known of it"
    alive.own_folder("finops-trial")
    assert not other.folder.exists()


def test_nothing_is_known_of_processes_elsewhere(temporary: Path) -> None:
    for sign in ("0" * 32, "", "../x", "finops.yaml"):
        assert not alive.has_ended(sign)


def test_signs_of_the_killed_do_not_pile_up(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed = Other(temporary)
    killed.killed()
    monkeypatch.setattr(alive, "KEPT_SECONDS", -1)
    assert alive.own_sign()
    assert not list(temporary.glob(f"finops-alive-*/{killed.sign}"))


def test_a_folder_that_others_may_write_into_is_not_believed(temporary: Path) -> None:
    other = Other(temporary)
    other.killed()
    (signs,) = temporary.glob("finops-alive-*")
    signs.chmod(0o777)
    alive._sign_of.cache_clear()
    assert not alive.has_ended(other.sign)
    assert alive.own_sign() == ""
    alive.own_folder("finops-trial")
    assert other.folder.exists()


def test_own_sign_is_one_and_stays(temporary: Path) -> None:
    assert alive.own_sign() == alive.own_sign() != ""
    assert not alive.has_ended(alive.own_sign())
