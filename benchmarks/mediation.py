"""How fast mediation is, and in how much memory: against DuckDB alone on the same work, in one run.

    python benchmarks/mediation.py --records 1000000 5000000 --bedrock-gb 2 --folder /var/tmp

The logs are made up: LiteLLM-shaped lines of 1.5 to 4.4 KB with prompts, 0.2 % duplicates and 0.02 % broken lines, in
objects of 64 MB, plain and gzip; and Bedrock-shaped ones with bodies of up to 100 KB. DuckDB alone does one
``COPY (SELECT … QUALIFY row_number() … ORDER BY …)`` over the same files to the same 26 columns, with the keyed hash
of the messages; it counts nothing, keeps no quarantine and bounds no memory. Only ratios of one run mean anything.
"""

import argparse
import contextlib
import datetime as dt
import gzip
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from peak import peak_bytes

OBJECT_BYTES = 64 << 20
DAY = dt.date(2026, 10, 5)
DUPLICATES, BROKEN = 500, 5000
"""Every so many lines stand twice; of every so many, one is cut off."""

TEXT = (
    "the order was placed on monday and has not arrived yet please check what became of it and answer in one friendly "
    "sentence that names the carrier the date and the next step without any apology or legal phrase whatsoever"
)
WORDS = TEXT.split()


# -- logs ----------------------------------------------------------------------------------------------------------


def litellm_lines(records: int, seed: int = 5) -> Iterator[bytes]:
    """Lines as LiteLLM's ``s3_v2`` callback writes them."""
    rng = random.Random(seed)
    texts = [" ".join(rng.choices(WORDS, k=rng.randint(60, 470))) for _ in range(997)]
    start = dt.datetime.combine(DAY, dt.time(), dt.UTC).timestamp()
    shape = json.dumps(_litellm_record()).encode()
    for name in (b"ID", b"TEXT", b"START", b"FIRST", b"END", b"USER", b"TEAM"):
        shape = shape.replace(b'"@' + name + b'"', b"%(" + name + b")b")
    last = b""
    for n in range(records):
        if n % DUPLICATES == 1 and last:
            yield last
            continue
        at = start + n * 86_000 / records
        last = shape % {
            b"ID": b'"chatcmpl-%016x"' % rng.getrandbits(64),
            b"TEXT": b'"%b %d"' % (texts[n % 997].encode(), n),
            b"START": b"%.6f" % at,
            b"FIRST": b"%.6f" % (at + 0.4),
            b"END": b"%.6f" % (at + 1.75),
            b"USER": b'"user-%d"' % (n % 4001),
            b"TEAM": b'"team-%d"' % (n % 23),
        }
        yield last[: len(last) // 2] if n % BROKEN == 2 else last


def _litellm_record() -> dict[str, object]:
    return {
        "id": "@ID", "trace_id": "@ID", "litellm_call_id": "@ID", "call_type": "acompletion", "stream": False,
        "status": "success", "custom_llm_provider": "openai", "model": "gpt-4o-mini-2024-07-18",
        "model_group": "gpt-4o-mini", "prompt_tokens": 1200, "completion_tokens": 140, "total_tokens": 1340,
        "startTime": "@START", "completionStartTime": "@FIRST", "endTime": "@END", "response_time": 1.75,
        "cache_hit": False, "cache_key": None, "response_cost": 0.000264, "saved_cache_cost": 0.0,
        "request_tags": ["env:prod", "feature:summaries"], "end_user": "", "requester_ip_address": "",
        "messages": [
            {"role": "system", "content": "You are a helpful support assistant of a large retailer."},
            {"role": "user", "content": "@TEXT"},
        ],
        "response": {
            "id": "@ID", "object": "chat.completion", "model": "gpt-4o-mini-2024-07-18",
            "choices": [
                {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "It is on its way."}}
            ],
        },
        "model_parameters": {"temperature": 0.2, "max_tokens": 400, "stream": False, "user": "@USER"},
        "metadata": {
            "user_api_key_hash": "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b",
            "user_api_key_alias": "key-support", "user_api_key_team_id": "@TEAM", "user_api_key_team_alias": "@TEAM",
            "user_api_key_project_id": "helpdesk", "user_api_key_user_id": "@USER",
            "usage_object": {
                "prompt_tokens": 1200, "completion_tokens": 140, "total_tokens": 1340,
                "prompt_tokens_details": {"cached_tokens": 768, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
            },
        },
        "hidden_params": {"model_id": "m1", "api_base": "https://api.openai.com", "litellm_overhead_time_ms": 2.1},
    }  # fmt: skip


def bedrock_lines(plain_bytes: int, seed: int = 7) -> Iterator[bytes]:
    """Lines as Bedrock writes them, with bodies from 1 to 100 KB; so many that they come to ``plain_bytes``."""
    rng = random.Random(seed)
    text = " ".join(rng.choices(WORDS, k=20_000))
    made = n = 0
    while made < plain_bytes:
        length, offset = rng.randint(500, 90_000), rng.randrange(10_000)
        record = {
            "schemaType": "ModelInvocationLog", "schemaVersion": "1.0",
            "timestamp": f"{DAY}T{n // 3600 % 24:02}:{n // 60 % 60:02}:{n % 60:02}Z", "accountId": "123456789012",
            "region": "us-east-1", "requestId": f"{rng.getrandbits(64):016x}", "operation": "Converse",
            "modelId": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "identity": {"arn": f"arn:aws:sts::123456789012:assumed-role/app-{n % 17}/pod-{n % 101}"},
            "input": {
                "inputContentType": "application/json", "inputTokenCount": length // 4, "cacheReadInputTokenCount": 0,
                "cacheWriteInputTokenCount": 0,
                "inputBodyJson": {
                    "messages": [{"role": "user", "content": [{"text": f"{n} " + text[offset : offset + length]}]}]
                },
            },
            "output": {
                "outputContentType": "application/json", "outputTokenCount": 100,
                "outputBodyJson": {
                    "output": {"message": {"role": "assistant", "content": [{"text": text[:400]}]}},
                    "stopReason": "end_turn", "metrics": {"latencyMs": 910},
                    "usage": {"inputTokens": length // 4, "outputTokens": 100},
                },
            },
        }  # fmt: skip
        line = json.dumps(record).encode()
        made += len(line) + 1
        n += 1
        yield line


def write_objects(folder: Path, lines: Iterator[bytes], name: str, *, compress: bool) -> int:
    """Objects of ``OBJECT_BYTES``; how many plain bytes they hold."""
    plain, held, size, number = 0, [], 0, 0
    folder.mkdir(parents=True)

    def flush() -> None:
        nonlocal held, size, number
        body = b"\n".join(held) + b"\n"
        file = folder / (name.format(number) + (".gz" if compress else ""))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(gzip.compress(body, 6) if compress else body)
        held, size, number = [], 0, number + 1

    for line in lines:
        held.append(line)
        size += len(line) + 1
        plain += len(line) + 1
        if size >= OBJECT_BYTES:
            flush()
    if held:
        flush()
    return plain


# -- the two contestants, each in a process of its own ----------------------------------------------------------------

LITELLM_KEYS = f"{DAY}/batch_12-00-{{:02}}_0.jsonl"
BEDROCK_KEYS = f"AWSLogs/123456789012/BedrockModelInvocationLogs/us-east-1/{DAY:%Y/%m/%d}/12/{{:04}}.json"

DUCKDB_ALONE = r"""
COPY (
    WITH raw AS (
        SELECT json_extract_string(json, [
            '$.id', '$.startTime', '$.custom_llm_provider', '$.model', '$.call_type',
            '$.metadata.user_api_key_team_alias', '$.metadata.user_api_key_project_id',
            '$.metadata.user_api_key_user_id', '$.end_user', '$.metadata.user_api_key_hash', '$.stream', '$.cache_hit',
            '$.status', '$.prompt_tokens', '$.completion_tokens',
            '$.metadata.usage_object.prompt_tokens_details.cached_tokens',
            '$.metadata.usage_object.prompt_tokens_details.cache_creation_tokens',
            '$.metadata.usage_object.completion_tokens_details.reasoning_tokens', '$.endTime', '$.completionStartTime',
            '$.response.choices[0].finish_reason', '$.trace_id', '$.response_cost', '$.messages', '$.request_tags'
        ]) AS t, filename
        FROM read_ndjson_objects('{files}', ignore_errors=true, filename=true)
        WHERE json_type(json) = 'OBJECT'
    )
    SELECT t[1] AS request_id, to_timestamp(t[2]::DOUBLE) AS event_time, t[3] AS provider, t[4] AS raw_model,
        t[5] AS operation, t[6] AS team, t[7] AS project, t[8] AS user_id, nullif(t[9], '') AS end_user,
        t[10] AS api_key_id, t[11]::BOOLEAN AS stream, t[12]::BOOLEAN AS gateway_cache_hit, t[13] AS status,
        t[14]::BIGINT - coalesce(t[16]::BIGINT, 0) - coalesce(t[17]::BIGINT, 0) AS input_tokens,
        coalesce(t[16]::BIGINT, 0) AS cache_read_tokens, coalesce(t[17]::BIGINT, 0) AS cache_write_5m_tokens,
        t[15]::BIGINT AS output_tokens, t[18]::BIGINT AS reasoning_tokens,
        ((t[19]::DOUBLE - t[2]::DOUBLE) * 1000)::BIGINT AS latency_ms,
        ((t[20]::DOUBLE - t[2]::DOUBLE) * 1000)::BIGINT AS first_token_ms, t[21] AS finish_reason, t[22] AS trace_id,
        t[23]::DECIMAL(18, 12) AS reported_cost,
        substr(sha256(unhex('{pad}') || unhex(sha256(unhex('{pad}') || encode(t[24])))), 1, 32) AS prompt_fingerprint,
        t[25]::JSON::VARCHAR[] AS tags, filename AS raw_object
    FROM raw
    QUALIFY row_number() OVER (PARTITION BY request_id ORDER BY event_time, raw_object) = 1
    ORDER BY event_time, request_id
) TO '{target}' (FORMAT parquet, COMPRESSION zstd)
"""


@dataclass(frozen=True)
class Run:
    """One contestant's run: wall seconds, peak resident bytes, rows written."""

    seconds: float
    peak: int
    rows: int


def in_turns(contestants: list[str], folder: Path, rounds: int) -> list[Run]:
    """Each contestant's median run of so many, which take turns."""
    runs = [[in_a_process(what, folder) for what in contestants] for _ in range(rounds)]
    return [sorted(of_one, key=lambda run: run.seconds)[rounds // 2] for of_one in zip(*runs, strict=True)]


def in_a_process(what: str, folder: Path, *, memory_mb: int = 700) -> Run:
    """Run one contestant in a fresh interpreter; the import of its libraries is not counted."""
    os.sync()  # what was written before is nobody's burden
    call = [sys.executable, __file__, "--contestant", what, "--folder", str(folder), "--memory-mb", str(memory_mb)]
    done = subprocess.run(call, check=True, stdout=subprocess.PIPE, env={**os.environ, "FINOPS_FINGERPRINT_KEY": "k"})
    return Run(**json.loads(done.stdout.splitlines()[-1]))


def contest(what: str, folder: Path, memory_mb: int) -> None:
    """The contestant's side: do the work once, and print what it took."""
    import polars as pl

    if what == "duckdb":
        import duckdb

        target = folder / "duckdb.parquet"
        query = DUCKDB_ALONE.format(files=folder / "logs" / "*" / "*", target=target, pad="36" * 64)
        begin = time.perf_counter()
        duckdb.connect().execute(query)
        seconds = time.perf_counter() - begin
        rows = pl.scan_parquet(target).select(pl.len()).collect().item()
    else:
        seconds, rows = _mediate(what, folder, memory_mb)
    print(json.dumps({"seconds": seconds, "peak": peak_bytes(), "rows": rows}))


def _mediate(what: str, folder: Path, memory_mb: int) -> tuple[float, int]:
    from finops_pipeline.config.model import Config
    from finops_pipeline.lake import Lake
    from finops_pipeline.mediation.day import mediate_day

    form, _, blocks = what.partition("+")
    source = {"name": "s", "format": form, "uri": str(folder / "logs"), "prefix_block_chars": 2048 if blocks else 0}
    config = Config.model_validate(
        {
            "lake": str(folder / "lake"),
            "start_date": "2026-01-01",
            "sources": [source],
            "limits": {"memory_mb": memory_mb},
        }
    )
    now = dt.datetime(2026, 10, 7, tzinfo=dt.UTC)
    begin = time.perf_counter()
    result = mediate_day(
        config, config.sources[0], DAY, lake=Lake(folder / "lake"), run="benchmark", now=now, force=True
    )
    return time.perf_counter() - begin, result.outcomes["usage"]


# -- the table -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    what: str
    plain: int
    records: int
    ours: Run
    duckdb: Run | None

    def __str__(self) -> str:
        ratio = f"{self.duckdb.seconds / self.ours.seconds:.2f}" if self.duckdb else "–"
        theirs = f"{self.duckdb.seconds:.1f} s, {self.duckdb.peak >> 20:,} MB" if self.duckdb else "–"
        speed = self.plain / self.ours.seconds / 1e6
        return (
            f"| {self.what} | {self.plain / 1e9:.1f} GB | {self.ours.seconds:.1f} s | {speed:,.0f} MB/s "
            f"| {self.ours.peak >> 20:,} MB | {theirs} | {ratio} |"
        )


HEADER = (
    "| logs | plain | mediation | speed | peak RSS | DuckDB alone | DuckDB / mediation |\n|---|---|---|---|---|---|---|"
)


def litellm_line(
    base: Path, records: int, rounds: int, *, compress: bool, blocks: bool = False, alone: bool = True
) -> Line:
    """Measure LiteLLM-shaped logs: made, read by both contestants, deleted."""
    with tempfile.TemporaryDirectory(dir=base) as name:
        folder = Path(name)
        plain = write_objects(folder / "logs", litellm_lines(records), LITELLM_KEYS, compress=compress)
        contestants = ["litellm+" if blocks else "litellm", *(["duckdb"] if alone else [])]
        ours, *theirs = in_turns(contestants, folder, rounds)
        duckdb = theirs[0] if theirs else None
    if duckdb is not None and duckdb.rows != ours.rows:
        raise SystemExit(f"not the same work: {ours.rows} and {duckdb.rows} rows")
    kind = ("gzip" if compress else "plain") + (", prefix blocks too" if blocks else "")
    return Line(f"LiteLLM, {records / 1e6:g} M, {kind}", plain, records, ours, duckdb)


def bedrock_line(base: Path, gigabytes: float, *, blocks: bool = False) -> Line:
    """Measure Bedrock-shaped logs with large bodies."""
    with tempfile.TemporaryDirectory(dir=base) as name:
        folder = Path(name)
        lines = bedrock_lines(int(gigabytes * 1e9))
        plain = write_objects(folder / "logs", lines, BEDROCK_KEYS, compress=False)
        ours = in_a_process("bedrock+" if blocks else "bedrock", folder)
    what = "Bedrock, bodies up to 100 KB" + (", prefix blocks too" if blocks else "")
    return Line(what, plain, ours.rows, ours, None)


def machine() -> str:
    """What this ran on."""
    import duckdb
    import polars as pl

    with contextlib.suppress(OSError, StopIteration):
        cpu = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
        return (
            f"{os.cpu_count()} × {cpu.partition(':')[2].strip()}, Python {platform.python_version()}, "
            f"Polars {pl.__version__}, DuckDB {duckdb.__version__}, {dt.datetime.now(dt.UTC).date()}"
        )
    return f"{os.cpu_count()} × {platform.machine()}"


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument(
        "--records",
        type=int,
        nargs="*",
        default=[1_000_000],
        help="records of the LiteLLM logs; of the first number gzip too",
    )
    asked.add_argument("--rounds", type=int, default=3, help="how often each contestant runs; the median counts")
    asked.add_argument("--bedrock-gb", type=float, default=2.0, help="plain gigabytes of the Bedrock logs; 0 for none")
    asked.add_argument("--small-objects", type=int, default=20_000, help="objects of one record in S3; 0 for none")
    asked.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where the logs are made")
    asked.add_argument("--memory-mb", type=int, default=700, help="limits.memory_mb")
    asked.add_argument("--contestant", help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.contestant:
        contest(given.contestant, given.folder, given.memory_mb)
        return
    print(machine())
    print(HEADER, flush=True)
    for records in given.records:
        for compress in (False, True) if records == given.records[0] else (False,):
            print(litellm_line(given.folder, records, given.rounds, compress=compress), flush=True)
    if given.records:
        print(
            litellm_line(given.folder, given.records[0], given.rounds, compress=False, blocks=True, alone=False),
            flush=True,
        )
    if given.bedrock_gb:
        print(bedrock_line(given.folder, given.bedrock_gb / 2), flush=True)
        print(bedrock_line(given.folder, given.bedrock_gb), flush=True)
    if given.small_objects:
        from small_objects import measure

        found = measure(given.small_objects)
        print(
            f"\n{found['objects']:,.0f} objects of {found['bytes_each']:,.0f} bytes from S3: "
            f"{found['our_gets']:,.0f} gets/s, {found['ratio']:.2f} of what a bare client gets from that server, "
            f"{found['peak_rss_mb']:,.0f} MB"
        )


if __name__ == "__main__":
    main()
