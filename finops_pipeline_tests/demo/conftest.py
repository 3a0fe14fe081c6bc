"""The sample logs at a small scale, and an S3 server, each made once for all tests of the demo."""

from collections.abc import Iterator

import pytest
from demo_readback import Sample, read_back

from finops_pipeline.demo.logs import SampleLogs
from finops_pipeline.demo.server import S3Server

SCALE = 0.03
"""Of the demo's 200,000 calls: the least at which every oddity is there."""


@pytest.fixture(scope="session")
def sample() -> Sample:
    logs = SampleLogs(SCALE)
    listed = [pair for _, objects in logs.days() for pair in objects]
    objects = dict(listed)
    assert len(objects) == len(listed), "two objects share a key"
    return Sample(objects, logs.manifest, read_back(objects))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A running server; tests use buckets of their own."""
    with S3Server(tmp_path_factory.mktemp("s3")) as running:
        yield running
