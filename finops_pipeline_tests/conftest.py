"""What many tests need: a config in a folder of its own, a lake, raw logs, and mediation of a day."""

import datetime as dt
import gzip
import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from finops_pipeline.config.model import Config
from finops_pipeline.demo.server import S3Server
from finops_pipeline.lake import Lake

DAY = dt.date(2026, 10, 5)
NOW = dt.datetime(2026, 11, 2, 2, 0, tzinfo=dt.UTC)


@pytest.fixture(scope="session", autouse=True)
def fingerprint_key() -> Iterator[None]:
    """A key of the tests' own: without one each run warns."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINOPS_FINGERPRINT_KEY", "a key of the tests")
        yield


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


LAKE_BUCKET = "lake-of-tests"


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server on loopback, with a bucket."""
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        server.client().create_bucket(Bucket=LAKE_BUCKET)
        yield server


@pytest.fixture
def s3_uri(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """``s3://bucket/prefix`` with nothing in it; the AWS settings of this process lead there for the test."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("FINOPS_CACHE", raising=False)
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    return f"s3://{LAKE_BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture(params=["folder", "bucket"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a lake can lie: a test that asks for it runs on both."""
    uri: str = request.getfixturevalue("s3_uri") if request.param == "bucket" else ""
    return uri or tmp_path / "lake"


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Config]:
    """``config(format="bedrock", uri=…)``: one source named ``logs``; further keys by ``extra``."""

    def make(
        *, format: str = "record", uri: str = "logs", extra: dict[str, Any] | None = None, **source: Any
    ) -> Config:
        (tmp_path / "logs").mkdir(exist_ok=True)
        return Config.model_validate(
            {
                "lake": "lake",
                "start_date": "2026-01-01",
                "sources": [{"name": "logs", "format": format, "uri": uri, **source}],
                **(extra or {}),
            }
        ).located(tmp_path)

    return make


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """``put(key, lines)``: write an object below ``logs``; lines are records or raw bytes, gzip where asked."""

    def write(key: str, lines: Iterable[dict[str, Any] | bytes] | bytes, *, compress: bool = False) -> Path:
        path = tmp_path / "logs" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(lines, bytes):
            body = lines
        else:
            body = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines) + b"\n"
        path.write_bytes(gzip.compress(body) if compress else body)
        return path

    return write


@pytest.fixture
def record() -> Callable[..., dict[str, Any]]:
    """``record(id="a", at="2026-10-05T08:00:00Z", …)``: one call in the plain format."""

    def make(id: str | None = "a", at: str = "2026-10-05T08:00:00Z", **fields: Any) -> dict[str, Any]:
        call = {
            "timestamp": at,
            "service": "OpenAI API",
            "model": "gpt-4o-mini",
            "input_tokens": 10,
            "output_tokens": 2,
        }
        return call | ({"request_id": id} if id is not None else {}) | fields

    return make
