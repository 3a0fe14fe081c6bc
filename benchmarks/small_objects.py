"""How fast objects of one request each are fetched, against what the S3 server itself delivers to a bare client.

    python benchmarks/small_objects.py [OBJECTS] [BYTES_EACH]

Starts an S3 server of its own on loopback, fills it, and stops it. The bare client is a few threads that send requests
signed beforehand down kept-alive sockets and count the bytes that come back: it signs, verifies and keeps nothing. Ours
is what mediation does: ``open_store`` and ``fetching.bodies``, in a process of its own. Both take turns, and the ratio
is the median of the turns' ratios: rates of different minutes cannot be compared.
"""

import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config as BotoConfig
from peak import peak_bytes

from finops_pipeline.config.model import Config
from finops_pipeline.demo.server import S3Server
from finops_pipeline.mediation.fetching import bodies
from finops_pipeline.mediation.objects import open_store

BUCKET = "small-objects"
DAY = "2026-10-05"
TURNS = 5
BARE_THREADS = 16
PUT_THREADS = 12


def measure(objects: int = 20_000, bytes_each: int = 2000) -> dict[str, float]:
    """Rates of one run on this machine.

    Returns:
        ``objects`` and ``bytes_each`` as asked; ``bare_gets`` and ``our_gets``, objects a second, median of the turns;
        ``ratio``, ours to the bare client's, median of the turns; ``listed``, objects a second; ``peak_rss_mb`` of our
        process; ``retries``, requests that ours had to repeat.
    """
    with tempfile.TemporaryDirectory(prefix="finops-benchmark-") as folder, S3Server(Path(folder)) as server:
        keys = _fill(server, objects, bytes_each)
        requests = _signed(server, keys)
        turns = []
        for _ in range(TURNS):
            bare = _bare_rate(server.endpoint_url, requests, bytes_each)
            turns.append(_our_turn(server) | {"bare_gets": bare})
        if any(turn["bytes"] != objects * bytes_each for turn in turns):
            raise RuntimeError(f"not every byte has come: {turns}")
    return {
        "objects": objects,
        "bytes_each": bytes_each,
        **{name: statistics.median(turn[name] for turn in turns) for name in ("bare_gets", "our_gets", "listed")},
        "ratio": statistics.median(turn["our_gets"] / turn["bare_gets"] for turn in turns),
        "peak_rss_mb": max(turn["peak_rss_mb"] for turn in turns),
        "retries": sum(turn["retries"] for turn in turns),
    }


def _fill(server: S3Server, objects: int, bytes_each: int) -> list[str]:
    """Keys of the objects, which differ in their bytes too."""
    client = server.client(connections=PUT_THREADS)
    client.create_bucket(Bucket=BUCKET)
    keys = [f"date={DAY}/{n:07}.jsonl" for n in range(objects)]
    source = random.Random(7)
    filling = [source.randbytes(bytes_each) for _ in range(16)]

    def put(n: int) -> None:
        body = (b"%d " % n + filling[n % 16])[:bytes_each]
        client.put_object(Bucket=BUCKET, Key=keys[n], Body=body)

    with ThreadPoolExecutor(PUT_THREADS) as pool:
        for _ in pool.map(put, range(objects)):
            pass
    client.close()
    return keys


def _signed(server: S3Server, keys: list[str]) -> list[bytes]:
    """The requests of the bare client, whole."""
    environment = server.environment()
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        config=BotoConfig(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    requests = []
    for key in keys:
        url = urlsplit(client.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": key}))
        requests.append(f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode())
    client.close()
    return requests


def _bare_rate(endpoint: str, requests: list[bytes], bytes_each: int) -> float:
    """Objects a second that the server delivers."""
    address = urlsplit(endpoint)
    failures: list[str] = []

    def run(mine: list[bytes]) -> None:
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for request in mine:
                connection.sendall(request)
                received = connection.recv(65536)
                while (end := received.find(b"\r\n\r\n")) < 0:
                    received += connection.recv(65536)
                missing = bytes_each - (len(received) - end - 4)
                while missing > 0:
                    missing -= len(connection.recv(65536))
                if not received.startswith(b"HTTP/1.1 200"):
                    failures.append(received[:end].decode())
                    return

    threads = [threading.Thread(target=run, args=(requests[n::BARE_THREADS],)) for n in range(BARE_THREADS)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - started
    if failures:
        raise RuntimeError(f"the server refused the bare client: {failures[0]}")
    return len(requests) / elapsed


def _our_turn(server: S3Server) -> dict[str, float]:
    """The same objects by way of mediation's fetching, in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--fetch"],
        env=os.environ | server.environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    turn: dict[str, float] = json.loads(done.stdout)
    return turn


def _fetch() -> dict[str, float]:
    """List and fetch every object of the bucket that the environment's server holds."""
    source: dict[str, Any] = {"name": "logs", "format": "record", "uri": f"s3://{BUCKET}"}
    config = Config.model_validate({"lake": "lake", "start_date": DAY, "sources": [source]})
    store = open_store(config, config.sources[0])
    started = time.perf_counter()
    refs = list(store.objects(""))
    listed = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for _, body in bodies(store, refs, Path(folder)):
            if body is None:
                raise RuntimeError("an object has vanished")
    ended = time.perf_counter()
    return {
        "listed": len(refs) / (listed - started),
        "our_gets": len(refs) / (ended - listed),
        "bytes": store.transfers.bytes,
        "retries": store.transfers.retries,
        "peak_rss_mb": peak_bytes() / (1 << 20),
    }


def main() -> None:
    if sys.argv[1:] == ["--fetch"]:
        print(json.dumps(_fetch()))
        return
    found = measure(*map(int, sys.argv[1:]))
    print(f"{found['objects']:,.0f} objects of {found['bytes_each']:,.0f} bytes")
    for name, value, unit in (
        ("bare client", f"{found['bare_gets']:,.0f}", "gets/s"),
        ("ours", f"{found['our_gets']:,.0f}", "gets/s"),
        ("ratio", f"{found['ratio']:.2f}", ""),
        ("listing", f"{found['listed']:,.0f}", "objects/s"),
        ("peak RSS", f"{found['peak_rss_mb']:,.0f}", "MB"),
        ("repeated", f"{found['retries']:,.0f}", "requests"),
    ):
        print(f"  {name:<12}{value:>8} {unit}")


if __name__ == "__main__":
    main()
