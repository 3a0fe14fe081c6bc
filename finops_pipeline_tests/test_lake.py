"""The lake: one atomic step a partition, keys in the path only, readable by whoever reads Hive-style Parquet."""

import datetime as dt
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet as pq
import pytest

from finops_pipeline.errors import ContractError, LakeError
from finops_pipeline.lake import Lake, Stamp
from finops_pipeline.schemas import COST, INSTANT, TAGS, Column, Table
from finops_pipeline.storage.folder import STAGING_SECONDS

CALLS = Table(
    name="calls",
    version=2,
    meaning="A table of every kind of column that the real ones have.",
    partition_keys=("source", "date"),
    columns=(
        Column("request_id", pl.String, "Key", False),
        Column("event_time", INSTANT, "When"),
        Column("cost", COST, "USD"),
        Column("tags", TAGS, "Labels"),
        Column("tokens", pl.Int64, "Tokens"),
    ),
)
STAMP = Stamp(schema_version=2, input_digest="abc", run="run-1", notes={"missing_sources": [], "lines": 3})
DAY = dt.date(2026, 10, 1)


def calls(*ids: str) -> pl.DataFrame:
    rows = [
        {
            "request_id": i,
            "event_time": dt.datetime(2026, 10, 1, 12, tzinfo=dt.UTC),
            "cost": Decimal("0.000000000001"),
            "tags": [{"key": "k", "value": "v"}],
            "tokens": None,
        }
        for i in ids
    ]
    return pl.DataFrame(rows, schema=CALLS.schema)


def ids(frame: pl.LazyFrame) -> list[str]:
    return frame.collect().get_column("request_id").to_list()


@pytest.fixture
def lake(root: Path | str) -> Lake:
    return Lake(root)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def local(folder: Path) -> Lake:
    """A lake of which the test looks at the files themselves."""
    return Lake(folder)


# -- round trip -------------------------------------------------------------------------------------------------------


def test_what_is_written_is_read_back_with_its_keys(lake: Lake, root: Path | str) -> None:
    lake.write(CALLS, calls("a", "b"), STAMP, source="bedrock", date=DAY)

    (part,) = lake.parts(CALLS)
    assert part.file.name == "calls/source=bedrock/date=2026-10-01/part-0.parquet"
    assert lake.place(CALLS, source="bedrock", date=DAY) == f"{root}/{part.file.name}"
    assert (part.keys, part.date) == ({"source": "bedrock", "date": "2026-10-01"}, DAY)
    read = lake.scan(CALLS).collect()
    assert read.drop("source", "date").equals(calls("a", "b"))
    assert read.get_column("source").to_list() == ["bedrock", "bedrock"]
    assert read.get_column("date").to_list() == [DAY, DAY]


def test_partition_keys_stand_in_the_path_only(lake: Lake) -> None:
    lake.write(CALLS, calls("a"), STAMP, source="bedrock", date=DAY)
    path = lake.local_file(CALLS, source="bedrock", date=DAY)
    assert pq.ParquetFile(path).schema_arrow.names == list(CALLS.names)


def test_a_cost_is_stored_as_a_64_bit_integer(lake: Lake) -> None:
    lake.write(CALLS, calls("a"), STAMP, source="bedrock", date=DAY)
    path = lake.local_file(CALLS, source="bedrock", date=DAY)
    assert pq.ParquetFile(path).schema.column(CALLS.names.index("cost")).physical_type == "INT64"


def test_the_stamp_is_read_back(lake: Lake) -> None:
    lake.write(CALLS, calls("a"), STAMP, source="bedrock", date=DAY)
    assert lake.stamp(CALLS, source="bedrock", date=DAY) == STAMP


def test_there_is_no_stamp_without_a_partition(lake: Lake) -> None:
    assert lake.stamp(CALLS, source="bedrock", date=DAY) is None


def test_an_empty_table_is_a_partition_too(lake: Lake) -> None:
    lake.write(CALLS, CALLS.empty(), STAMP, source="bedrock", date=DAY)
    with lake.writer(CALLS, STAMP, source="gateway", date=DAY):
        pass

    read = lake.scan(CALLS).collect()
    assert read.height == 0
    assert read.schema == pl.Schema({**CALLS.schema, "source": pl.String(), "date": pl.Date()})
    assert lake.stamp(CALLS, source="gateway", date=DAY) == STAMP


def test_a_lake_that_does_not_exist_has_no_rows(lake: Lake) -> None:
    read = lake.scan(CALLS).collect()
    assert read.height == 0
    assert read.schema == pl.Schema({**CALLS.schema, "source": pl.String(), "date": pl.Date()})
    assert lake.partitions(CALLS) == []
    assert lake.storage.files("") == []


def test_frames_are_appended_as_row_groups(lake: Lake) -> None:
    with lake.writer(CALLS, STAMP, source="bedrock", date=DAY) as append:
        append(calls("a"))
        append(CALLS.empty())
        append(calls("b", "c"))
        assert append.rows == 3
    path = lake.local_file(CALLS, source="bedrock", date=DAY)
    assert pq.ParquetFile(path).metadata.num_row_groups == 2
    assert ids(lake.scan(CALLS)) == ["a", "b", "c"]


def test_the_same_rows_and_stamp_give_the_same_bytes(lake: Lake) -> None:
    def written() -> bytes:
        lake.write(CALLS, calls("a", "b"), STAMP, source="bedrock", date=DAY)
        return lake.local_file(CALLS, source="bedrock", date=DAY).read_bytes()

    assert written() == written()


# -- which partitions -------------------------------------------------------------------------------------------------


def test_a_scan_takes_one_value_or_several_of_a_key(lake: Lake) -> None:
    for source in ("bedrock", "gateway"):
        for day in (1, 2, 3):
            lake.write(CALLS, calls(f"{source}-{day}"), STAMP, source=source, date=dt.date(2026, 10, day))

    assert ids(lake.scan(CALLS, source="gateway", date=dt.date(2026, 10, 2))) == ["gateway-2"]
    assert ids(lake.scan(CALLS, date=[dt.date(2026, 10, 3), dt.date(2026, 10, 1), dt.date(2026, 10, 3)])) == [
        "bedrock-1",
        "bedrock-3",
        "gateway-1",
        "gateway-3",
    ]
    assert ids(lake.scan(CALLS, date=[])) == []
    assert lake.partitions(CALLS, source="gateway") == [
        {"source": "gateway", "date": f"2026-10-0{day}"} for day in (1, 2, 3)
    ]


def test_parts_of_a_partition_are_read_together(lake: Lake) -> None:
    for part in ("from-2026-10-02", "from-2026-10-03"):
        lake.write(CALLS, calls(part), STAMP, part=part, source="bedrock", date=DAY)

    assert ids(lake.scan(CALLS, source="bedrock")) == ["from-2026-10-02", "from-2026-10-03"]
    assert lake.partitions(CALLS) == [{"source": "bedrock", "date": "2026-10-01"}]
    assert [part.name for part in lake.parts(CALLS)] == ["from-2026-10-02", "from-2026-10-03"]
    assert lake.stamp(CALLS, part="from-2026-10-03", source="bedrock", date=DAY) == STAMP


@pytest.mark.parametrize(
    "name", ["team/search", "v1.5..beta", "../../etc", "50% off", "a=b", "Zürich 東京", "it's", "a+b"]
)
def test_any_name_can_be_a_key(lake: Lake, name: str) -> None:
    lake.write(CALLS, calls("a"), STAMP, source=name, date=DAY)

    assert [part.file.name.count("/") for part in lake.parts(CALLS)] == [3]
    assert lake.partitions(CALLS) == [{"source": name, "date": "2026-10-01"}]
    assert lake.scan(CALLS).collect().get_column("source").to_list() == [name]
    assert ids(lake.scan(CALLS, source=name)) == ["a"]


@pytest.mark.parametrize("root", ["la[k]e", "la*e", "my lake?", "Größe", "50%25 off"])
def test_the_lake_can_lie_in_a_folder_of_any_name(tmp_path: Path, root: str) -> None:
    lake = Lake(tmp_path / root)
    lake.write(CALLS, calls("a"), STAMP, source="bedrock", date=DAY)
    read = lake.scan(CALLS).collect()
    assert read.select("request_id", "source", "date").rows() == [("a", "bedrock", DAY)]


@pytest.mark.parametrize("root", ["/data/env=prod/lake", "s3://bucket/env=prod/lake"])
def test_a_lake_below_a_folder_that_looks_like_a_partition_is_refused(root: str) -> None:
    with pytest.raises(LakeError, match=r"env=prod/lake: .* take for a partition key. Choose another place"):
        Lake(root)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"source": "bedrock"}, "needs the partition key date"),
        ({"source": "bedrock", "date": DAY, "team": "a"}, "has no partition key team"),
        ({"source": "", "date": DAY}, "source: expected a name"),
        ({"source": "bedrock", "date": dt.datetime(2026, 10, 1, tzinfo=dt.UTC)}, "date: expected"),
    ],
)
def test_keys_that_make_no_partition_are_refused(lake: Lake, keys: dict[str, str | dt.date], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lake.write(CALLS, calls("a"), STAMP, **keys)


def test_a_mistyped_key_never_widens_a_scan(lake: Lake) -> None:
    lake.write(CALLS, calls("a"), STAMP, source="bedrock", date=DAY)
    with pytest.raises(ValueError, match="has no partition key day"):
        lake.scan(CALLS, day=DAY)
    with pytest.raises(ValueError, match="needs the partition key source"):
        lake.stamp(CALLS, date=DAY)
    with pytest.raises(ValueError, match="not the leading partition keys"):
        lake.folder(CALLS, date=DAY)
    assert ids(lake.scan(CALLS)) == ["a"]


# -- other readers ----------------------------------------------------------------------------------------------------


def written_for_other_readers(lake: Lake) -> list[tuple[str, str, Decimal]]:
    lake.write(CALLS, calls("a"), STAMP, source="bedrock", date=DAY)
    lake.write(CALLS, CALLS.empty(), STAMP, source="bedrock", date=dt.date(2026, 10, 2))
    lake.write(CALLS, calls("b"), STAMP, source="gate/way", date=DAY)
    return [("a", "bedrock", Decimal("0.000000000001")), ("b", "gate/way", Decimal("0.000000000001"))]


def test_any_reader_of_hive_style_parquet_reads_a_table(lake: Lake, root: Path | str) -> None:
    """Arrow and Polars with their own readers, of folders and of S3."""
    expected = written_for_other_readers(lake)
    files, path = pyarrow.fs.LocalFileSystem(), str(root)
    options = {}
    if isinstance(root, str):
        endpoint = os.environ["AWS_ENDPOINT_URL_S3"]
        files = pyarrow.fs.S3FileSystem(endpoint_override=endpoint, region=os.environ["AWS_REGION"])
        path = root.removeprefix("s3://")
        options = {"endpoint_url": endpoint, "allow_http": "true"}

    table = pyarrow.dataset.dataset(f"{path}/calls", format="parquet", partitioning="hive", filesystem=files)
    arrow = table.to_table().sort_by("request_id")
    assert list(zip(*(arrow[c].to_pylist() for c in ("request_id", "source", "cost")), strict=True)) == expected
    assert arrow["date"].to_pylist() == ["2026-10-01", "2026-10-01"]

    found = pl.scan_parquet(f"{root}/calls/", hive_partitioning=True, storage_options=options)
    polars = found.sort("request_id").collect()
    assert polars.select("request_id", "source", "cost").rows() == expected
    assert polars.get_column("date").to_list() == [DAY, DAY]


def test_duckdb_reads_a_table(local: Lake, folder: Path) -> None:
    expected = written_for_other_readers(local)
    query = "SELECT request_id, source, cost, date FROM read_parquet(?, hive_partitioning = true) ORDER BY 1"
    with duckdb.connect() as connection:
        rows = connection.execute(query, [f"{folder}/calls/*/*/*.parquet"]).fetchall()
    assert [row[:3] for row in rows] == expected
    assert [row[3] for row in rows] == [DAY, DAY]


# -- contract ---------------------------------------------------------------------------------------------------------


def test_a_file_of_an_older_contract_reads_as_the_present_one(lake: Lake) -> None:
    older = replace(CALLS, version=1, columns=(Column("gone", pl.Int64, "dropped since"), *CALLS.columns[:3]))
    old = calls("old").select(pl.lit(1, pl.Int64).alias("gone"), "request_id", "event_time", "cost")
    lake.write(older, old, replace(STAMP, schema_version=1), source="bedrock", date=DAY)
    lake.write(CALLS, calls("new"), STAMP, source="bedrock", date=dt.date(2026, 10, 2))

    read = lake.scan(CALLS).collect()
    assert read.columns == [*CALLS.names, "source", "date"]
    assert read.get_column("tags").to_list() == [None, [{"key": "k", "value": "v"}]]
    stamp = lake.stamp(CALLS, source="bedrock", date=DAY)
    assert stamp is not None
    assert stamp.schema_version == 1


def append_all(lake: Lake, frames: Iterable[pl.DataFrame]) -> None:
    with lake.writer(CALLS, STAMP, source="bedrock", date=DAY) as append:
        for frame in frames:
            append(frame)


def broken_off() -> Iterator[pl.DataFrame]:
    yield calls("b")
    raise RuntimeError


def test_a_frame_that_breaks_the_contract_leaves_the_partition_as_it_was(lake: Lake) -> None:
    lake.write(CALLS, calls("a"), STAMP, source="bedrock", date=DAY)
    with pytest.raises(ContractError, match="null in request_id"):
        append_all(lake, [calls("b"), calls("c").with_columns(pl.lit(None, pl.String).alias("request_id"))])
    assert ids(lake.scan(CALLS)) == ["a"]


# -- failures in the middle -------------------------------------------------------------------------------------------


def nothing_staged(folder: Path) -> bool:
    return not list((folder / "_staging").iterdir())


def test_an_error_in_the_block_leaves_the_partition_as_it_was(lake: Lake) -> None:
    lake.write(CALLS, calls("a"), STAMP, source="bedrock", date=DAY)
    with pytest.raises(RuntimeError):
        append_all(lake, broken_off())
    assert ids(lake.scan(CALLS)) == ["a"]


def test_a_write_that_fails_leaves_nothing(local: Lake, folder: Path) -> None:
    with pytest.raises(RuntimeError):
        append_all(local, broken_off())
    assert nothing_staged(folder)
    assert not (folder / "calls").exists()


def test_a_first_write_that_fails_leaves_no_object(s3_uri: str) -> None:
    lake = Lake(s3_uri)
    with pytest.raises(RuntimeError):
        append_all(lake, broken_off())
    assert lake.storage.files("") == []


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


def test_a_process_that_dies_while_writing_leaves_the_partition_as_it_was(local: Lake, folder: Path) -> None:
    lake = local
    lake.write(CALLS, calls("a"), STAMP, source="bedrock", date=DAY)
    died = run_python(
        "import os, sys, datetime as dt, polars as pl\n"
        "from pathlib import Path\n"
        "from finops_pipeline.lake import Lake, Stamp\n"
        "from finops_pipeline.schemas import Column, Table\n"
        "table = Table('calls', 2, '', ('source', 'date'), (Column('request_id', pl.String, ''),))\n"
        "with Lake(Path(sys.argv[1])).writer(table, Stamp(2, '', ''), source='bedrock', date='2026-10-01') as append:\n"
        "    append(pl.DataFrame({'request_id': ['b'] * 10_000}))\n"
        "    os._exit(9)\n",
        str(folder),
    )
    assert died.returncode == 9, died.stderr
    assert ids(lake.scan(CALLS)) == ["a"]
    left = list((folder / "_staging").iterdir())
    assert len(left) == 1
    assert pl.scan_parquet(folder / "calls", hive_partitioning=True).collect().height == 1

    lake.write(CALLS, calls("c"), STAMP, source="bedrock", date=DAY)
    assert left[0].exists(), "it might still be at work"
    long_ago = left[0].stat().st_mtime - STAGING_SECONDS - 60
    os.utime(left[0], (long_ago, long_ago))
    lake.write(CALLS, calls("d"), STAMP, source="bedrock", date=DAY)
    assert nothing_staged(folder)


def test_a_rename_that_fails_leaves_the_partition_as_it_was(
    local: Lake, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = local
    lake.write(CALLS, calls("a"), STAMP, source="bedrock", date=DAY)

    def refuse(self: Path, target: Path) -> Path:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(LakeError, match=r"part-0\.parquet: cannot be written \(Read-only file system\)") as caught:
        lake.write(CALLS, calls("b"), STAMP, source="bedrock", date=DAY)
    assert "finops.yaml" in str(caught.value)
    assert ids(lake.scan(CALLS)) == ["a"]
    assert nothing_staged(folder)


def test_a_full_disk_is_one_clear_error(local: Lake, folder: Path) -> None:
    lake = local
    lake.write(CALLS, calls("a"), STAMP, source="bedrock", date=DAY)
    failed = run_python(
        "import resource, random, sys, polars as pl\n"
        "from pathlib import Path\n"
        "from finops_pipeline.errors import LakeError\n"
        "from finops_pipeline.lake import Lake, Stamp\n"
        "from finops_pipeline.schemas import Column, Table\n"
        "table = Table('calls', 2, '', ('source', 'date'), (Column('request_id', pl.String, ''),))\n"
        "frame = pl.DataFrame({'request_id': [random.randbytes(9).hex() for _ in range(50_000)]})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n"
        "    Lake(Path(sys.argv[1])).write(table, frame, Stamp(2, '', ''), source='bedrock', date='2026-10-01')\n"
        "except LakeError as error:\n"
        "    print(error)\n",
        str(folder),
    )
    assert failed.returncode == 0, failed.stderr
    assert "cannot be written" in failed.stdout
    assert ids(lake.scan(CALLS)) == ["a"]
    assert nothing_staged(folder)


def test_a_lake_below_a_file_cannot_be_written_or_listed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    lake = Lake(tmp_path / "file")
    with pytest.raises(LakeError, match="cannot be written"):
        lake.write(CALLS, calls("a"), STAMP, source="bedrock", date=DAY)
    with pytest.raises(LakeError, match="cannot be written"), lake.lease(CALLS, source="bedrock", date=DAY):
        pass
    with pytest.raises(LakeError, match="cannot be listed"):
        lake.scan(CALLS)


def test_a_folder_that_cannot_be_listed_is_no_empty_table(local: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    local.write(CALLS, calls("a"), STAMP, source="bedrock", date=DAY)

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(LakeError, match=r"calls: cannot be listed \(Permission denied\)"):
        local.scan(CALLS)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")
def test_a_folder_without_permission_cannot_be_written(local: Lake, folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o500)
    with pytest.raises(LakeError, match="Permission denied"):
        local.write(CALLS, calls("a"), STAMP, source="bedrock", date=DAY)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_a_damaged_file_is_named(lake: Lake, content: bytes) -> None:
    lake.write(CALLS, calls("a"), STAMP, source="bedrock", date=DAY)
    lake.storage.write("calls/source=bedrock/date=2026-10-01/part-0.parquet", content)
    with pytest.raises(
        LakeError, match=r"part-0\.parquet: no readable Parquet file .* Delete it and run its day again"
    ):
        lake.stamp(CALLS, source="bedrock", date=DAY)


def test_a_footer_of_any_length_is_read(lake: Lake) -> None:
    long = replace(STAMP, notes={"statement": "x" * 300_000})
    lake.write(CALLS, calls("a"), long, source="bedrock", date=DAY)
    assert lake.stamp(CALLS, source="bedrock", date=DAY) == long


def test_the_stamps_and_rows_of_many_partitions_are_read_together(lake: Lake) -> None:
    for source, day in (("a", 1), ("a", 2), ("b", 2), ("b", 30)):
        stamp = replace(STAMP, input_digest=f"{source}{day}")
        lake.write(CALLS, calls("x", "y"), stamp, source=source, date=dt.date(2026, 10, day))
    days = [dt.date(2026, 10, day) for day in range(1, 20)]
    for _ in range(2):
        found = [(part.keys["source"], part.date.day, stamp) for part, stamp in lake.stamps(CALLS, date=days)]
        assert [(source, day) for source, day, _ in found] == [("a", 1), ("a", 2), ("b", 2)]
        assert [stamp.input_digest for _, _, stamp in found] == ["a1", "a2", "b2"]
        assert (lake.rows(CALLS), lake.rows(CALLS, source="b"), lake.rows(CALLS, date=days)) == (8, 4, 6)


def test_a_partition_that_was_replaced_has_the_new_stamp_and_rows(lake: Lake) -> None:
    for name in ("a", "b", "a"):
        lake.write(CALLS, calls(name), replace(STAMP, input_digest=name), source="bedrock", date=DAY)
        assert [stamp.input_digest for _, stamp in lake.stamps(CALLS)] == [name]
        assert ids(lake.scan(CALLS)) == [name]


def test_only_files_of_the_table_are_parts_of_it(lake: Lake) -> None:
    lake.write(CALLS, calls("a"), STAMP, source="bedrock", date=DAY)
    for name in ("calls/source=bedrock/readme.txt", "calls/source=bedrock/date=2026-10-01/.part-1.parquet"):
        lake.storage.write(name, b"x")
    lake.storage.write("calls/source=bedrock/date=2026-10-01/deeper/part-0.parquet", b"x")
    lake.storage.write("callsandmore/source=bedrock/date=2026-10-01/part-0.parquet", b"x")
    assert [part.file.name for part in lake.parts(CALLS)] == ["calls/source=bedrock/date=2026-10-01/part-0.parquet"]
    assert ids(lake.scan(CALLS, date=[DAY, dt.date(2026, 10, 2)])) == ["a"]


# -- what is made and what is left alone ------------------------------------------------------------------------------


def test_what_was_made_from_the_same_inputs_is_left_alone(lake: Lake) -> None:
    key = {"source": "bedrock", "date": DAY}
    with lake.making(CALLS, "abc", **key) as needed:
        assert needed
        with pytest.raises(LakeError, match="is being written by"), lake.lease(CALLS, **key):
            pass
        lake.write(CALLS, calls("a"), STAMP, **key)
    with lake.making(CALLS, "abc", **key) as needed, lake.lease(CALLS, **key):
        assert not needed
    with lake.making(CALLS, "other", **key) as needed:
        assert needed
    with lake.making(CALLS, "abc", force=True, **key) as needed:
        assert needed


def test_what_another_run_has_made_while_this_one_waited_is_left_alone(lake: Lake) -> None:
    key = {"source": "bedrock", "date": DAY}
    waiting = threading.Event()

    def make() -> bool:
        waiting.set()
        with lake.making(CALLS, "abc", **key) as needed:
            return needed

    with ThreadPoolExecutor(1) as pool:
        with lake.making(CALLS, "abc", **key) as needed:
            other = pool.submit(make)
            assert waiting.wait(60)
            lake.write(CALLS, calls("a"), STAMP, **key)
        assert needed
        assert not other.result(60)


# -- many at once -----------------------------------------------------------------------------------------------------


def test_readers_see_the_old_or_the_new_partition_while_others_write(lake: Lake) -> None:
    versions = [calls(*(f"{v}-{i}" for i in range(50))) for v in range(4)]
    lake.write(CALLS, versions[0], STAMP, source="bedrock", date=DAY)
    done = threading.Event()

    def write(version: int) -> None:
        for _ in range(5):
            lake.write(CALLS, versions[version], STAMP, source="bedrock", date=DAY)

    def read() -> list[set[str]]:
        seen = []
        while not done.is_set():
            found = ids(lake.scan(CALLS))
            assert len(found) == 50
            seen.append({i.split("-")[0] for i in found})
        return seen

    with ThreadPoolExecutor(8) as pool:
        reading = [pool.submit(read) for _ in range(2)]
        writing = [pool.submit(write, v) for v in range(4)]
        try:
            for future in writing:
                future.result()
        finally:
            done.set()
        assert all(len(version) == 1 for future in reading for version in future.result())
