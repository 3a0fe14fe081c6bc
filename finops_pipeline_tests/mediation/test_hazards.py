"""What writers, networks and disks do to raw logs, each by the whole way of a day: what is lost, and what is not."""

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard

from finops_pipeline.config.model import Config
from finops_pipeline.errors import SourceError
from finops_pipeline.lake import Lake
from finops_pipeline.mediation import fetching, reading
from finops_pipeline.mediation.day import DayResult
from finops_pipeline.mediation.objects import LocalStore, ObjectRef
from finops_pipeline.schemas import INGEST_OBJECTS, QUARANTINE, USAGE

Mediate = Callable[..., DayResult]
Put = Callable[..., Path]
Record = Callable[..., dict[str, Any]]
MakeConfig = Callable[..., Config]

KEY = "date=2026-10-05/a.jsonl"
BOM = b"\xef\xbb\xbf"


def placed(lake: Lake) -> list[tuple[int, str]]:
    """Line and id of the usage, in order."""
    return sorted(lake.scan(USAGE).select("raw_line", "request_id").collect().iter_rows())


def reasons(lake: Lake) -> list[tuple[int, str]]:
    return sorted(lake.scan(QUARANTINE).select("raw_line", "reason").collect().iter_rows())


def states(lake: Lake) -> dict[str, str]:
    return dict(lake.scan(INGEST_OBJECTS).select("key", "state").collect().iter_rows())


def counted(result: DayResult) -> dict[str, int]:
    assert sum(result.outcomes.values()) == result.records
    return {name: n for name, n in result.outcomes.items() if n}


def body(*lines: dict[str, Any] | bytes) -> bytes:
    return b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)


@pytest.fixture(params=["small", "large"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Small objects are fetched side by side into memory, large ones one by one and read where they lie."""
    if request.param == "large":
        monkeypatch.setattr(fetching, "SMALL", 0)
    return str(request.param)


# -- values: none is rounded, clipped or nulled unnoticed -------------------------------------------------------------

COUNTS: list[tuple[str, int | str | None]] = [
    ("12", 12),
    ('"12"', 12),
    ('" 12 "', 12),
    ("12.0", 12),
    ("1e3", 1000),
    ('"1e3"', 1000),
    ("-0", 0),
    ("null", None),
    ('""', None),
    ("1.5", "1.5"),
    ('"1.5"', "1.5"),
    ("0.9999999999999999", "0.9999999999999999"),
    ("-1", "-1"),
    ("9223372036854775807", "9223372036854775807"),
    ("9223372036854775808", "9223372036854775808"),
    ("18446744073709551616", "18446744073709551616"),
    ("1e300", "1e300"),
    ("true", "a text of 4 characters"),
    ('"twelve"', "a text of 6 characters"),
    ('"1,200"', "1,200"),
    ("[12]", "a text of 4 characters"),
    ('{"n":12}', "a text of 8 characters"),
]


@pytest.mark.parametrize(("written", "meant"), COUNTS, ids=[written for written, _ in COUNTS])
def test_a_count_is_a_whole_number_or_the_record_is_quarantined_with_the_value(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate, written: str, meant: int | str | None
) -> None:
    line = json.dumps(record("a", reasoning_tokens="=")).replace('"="', written).encode()
    put(KEY, [line, record("b", reasoning_tokens=7)])
    result = mediate(config())
    rows = dict(lake.scan(USAGE).select("request_id", "reasoning_tokens").collect().iter_rows())
    assert rows.pop("b") == 7
    if isinstance(meant, str):
        assert counted(result) == {"usage": 1, "quarantined": 1}
        assert reasons(lake) == [(1, f"$.reasoning_tokens: expected a whole number from 0 to 1e12, got {meant}")]
    else:  # beside other tokens, a part that is not named is none
        assert rows == {"a": meant or 0}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("0.1", "0.1"),
        ('"0.1"', "0.1"),
        ("1e-7", "0.0000001"),
        ("0.000000000001", "0.000000000001"),
        ("123456.1234567890", "123456.123456789"),
        ('"123456.123456789012"', "123456.123456789012"),
        ("0", "0"),
    ],
)
def test_an_amount_keeps_its_digits(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate, written: str, meant: str
) -> None:
    put(KEY, [json.dumps(record("a", cost="=")).replace('"="', written).encode()])
    mediate(config())
    assert lake.scan(USAGE).collect().get_column("reported_cost").to_list() == [Decimal(meant)]


def test_ids_that_are_numbers_keep_their_digits(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate
) -> None:
    numbers = (2**53 + 1, 2**63 - 1, 2**64 - 1, 2**64 + 1, 2**127 + 1, 10**39 + 1)
    put(KEY, [record("a") | {"request_id": number} for number in numbers])
    mediate(config())
    assert [request_id for _, request_id in placed(lake)] == [str(number) for number in numbers]


@pytest.mark.parametrize("literal", [b"NaN", b"Infinity", b"-Infinity", b"01", b"1e", b"0x1F", b"+1"])
def test_a_number_that_json_has_not_costs_its_line_alone(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate, literal: bytes
) -> None:
    odd = json.dumps(record("odd", cost="=")).encode().replace(b'"="', literal)
    put(KEY, [record("a"), odd, record("b")])
    assert counted(mediate(config())) == {"usage": 2, "quarantined": 1}
    assert placed(lake) == [(1, "a"), (3, "b")]
    assert [line for line, _ in reasons(lake)] == [2]


# -- lines: one JSON object or none -----------------------------------------------------------------------------------

NO_OBJECTS = {
    b"null": "not a JSON object: null",
    b"true": "not a JSON object: true or false",
    b"12": "not a JSON object: a number",
    b'"{}"': "not a JSON object: a text",
    b'[{"request_id":"x"}]': "not a JSON object: an array",
    b"[]": "not a JSON object: an array",
    b'{"request_id":"x"}{"request_id":"y"}': "not JSON: trailing characters",
    b'{"request_id":"x"} {"request_id":"y"}': "not JSON: trailing characters",
    b'{"request_id":"x"},': "not JSON: trailing characters",
    b'{"request_id":"x"': "not JSON: Input data was truncated",
    b'{"request_id":\xff"x"}': "not JSON: invalid character",
    b'{"request_id":"\xff"}': "not UTF-8",
    b'{"request_id":"\\ud800"}': "not JSON: ",
    BOM + b'{"request_id":"x"}': "not JSON: invalid character",
    b"\x00": "not JSON: invalid character",
}


@pytest.mark.parametrize(("odd", "reason"), NO_OBJECTS.items(), ids=[repr(odd)[2:-1] for odd in NO_OBJECTS])
def test_a_line_that_is_not_one_object_is_one_record_with_its_reason(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate, odd: bytes, reason: str, size: str
) -> None:
    put(KEY, [record("a"), odd, record("b")])
    assert counted(mediate(config())) == {"usage": 2, "quarantined": 1}
    assert placed(lake) == [(1, "a"), (3, "b")]
    row = lake.scan(QUARANTINE).collect().to_dicts()[0]
    assert (row["raw_line"], row["length"], row["sha256"]) == (2, len(odd), hashlib.sha256(odd).hexdigest())
    assert row["reason"].startswith(reason)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress], ids=["plain", "gzip", "zstd"])
def test_a_byte_order_mark_costs_no_line(
    lake: Lake,
    config: MakeConfig,
    put: Put,
    record: Record,
    mediate: Mediate,
    pack: Callable[[bytes], bytes],
    size: str,
) -> None:
    put(KEY, pack(BOM + body(record("a"), record("b"))))
    assert counted(mediate(config())) == {"usage": 2}
    assert placed(lake) == [(1, "a"), (2, "b")]


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_blank_lines_have_no_number_whatever_ends_the_lines(
    lake: Lake,
    config: MakeConfig,
    put: Put,
    record: Record,
    mediate: Mediate,
    pack: Callable[[bytes], bytes],
    size: str,
) -> None:
    a, b, c = (json.dumps(record(name)).encode() for name in "abc")
    put(KEY, pack(b"\n\r\n" + a + b"\r\n \t \r\n\n{broken\r\n" + b"  " + b + b"  \r\n\x0b\x0c\n" + c))
    assert counted(mediate(config())) == {"usage": 3, "quarantined": 1}
    assert placed(lake) == [(1, "a"), (3, "b"), (4, "c")]
    assert [line for line, _ in reasons(lake)] == [2]


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b" \r\n\t\n\n", BOM, gzip.compress(b""), gzip.compress(b"\n\n"), zstandard.compress(b""), BOM + b"\n"],
    ids=[
        "empty",
        "a line end",
        "blank lines",
        "a mark",
        "empty gzip",
        "blank gzip",
        "empty zstd",
        "a mark and a line end",
    ],
)
def test_an_object_without_lines_has_no_records_and_harms_none(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate, content: bytes, size: str
) -> None:
    put(KEY, content)
    put("date=2026-10-05/b.jsonl", [record("b")])
    assert counted(mediate(config())) == {"usage": 1}
    assert states(lake) == {KEY: "read", "date=2026-10-05/b.jsonl": "read"}
    assert dict(lake.scan(INGEST_OBJECTS).select("key", "lines").collect().iter_rows())[KEY] == 0


# -- streams: what came before the damage is kept, what follows is one record -----------------------------------------


def halves(record: Record) -> tuple[bytes, bytes]:
    """Two parts of three records, the second of which stands in both."""
    whole = body(record("a"), record("b"), record("c"))
    middle = whole.index(b'"b"')
    return whole[:middle], whole[middle:]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
def test_a_line_may_go_on_over_members_and_frames(
    lake: Lake,
    config: MakeConfig,
    put: Put,
    record: Record,
    mediate: Mediate,
    pack: Callable[[bytes], bytes],
    size: str,
) -> None:
    first, second = halves(record)
    put(KEY, pack(first) + pack(b"") + pack(second))
    assert counted(mediate(config())) == {"usage": 3}
    assert placed(lake) == [(1, "a"), (2, "b"), (3, "c")]


def cut(packed: bytes) -> bytes:
    return packed[:-5]


def flipped(packed: bytes) -> bytes:
    return packed[:-12] + bytes((packed[-12] ^ 0x55,)) + packed[-11:]


@pytest.mark.parametrize(
    ("pack", "damage", "reason"),
    [
        (gzip.compress, cut, "the gzip stream ends early"),
        (zstandard.compress, cut, "the zstd stream ends early"),
        (gzip.compress, flipped, "the gzip stream is damaged"),
        (
            lambda plain: gzip.compress(plain)[:-8] + bytes(8),
            bytes,
            "the gzip stream is damaged (incorrect checksum found)",
        ),
        (lambda plain: gzip.compress(plain)[:10] + b"\xff" * 40, bytes, "the gzip stream is damaged"),
        (lambda _plain: b"no member at all", bytes, "the gzip stream is damaged"),
    ],
    ids=["cut gzip", "cut zstd", "a flipped bit", "the checksum", "the middle", "what follows a member"],
)
def test_damage_in_a_later_member_keeps_the_lines_before_it(
    lake: Lake,
    config: MakeConfig,
    put: Put,
    record: Record,
    mediate: Mediate,
    pack: Callable[[bytes], bytes],
    damage: Callable[[bytes], bytes],
    reason: str,
    size: str,
) -> None:
    first, second = halves(record)
    sound = zstandard.compress(first) if "zstd" in reason else gzip.compress(first)
    put(KEY, sound + damage(pack(second)))
    put("date=2026-10-05/b.jsonl", [record("z")])
    assert counted(mediate(config())) in ({"usage": 2, "quarantined": 1}, {"usage": 4, "quarantined": 1})
    assert placed(lake)[:2] == [(1, "a"), (1, "z")]
    assert [told.startswith(reason) for _, told in reasons(lake)] == [True]
    assert states(lake) == {KEY: "damaged", "date=2026-10-05/b.jsonl": "read"}


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
def test_names_lie_and_magic_bytes_do_not(
    lake: Lake,
    config: MakeConfig,
    put: Put,
    record: Record,
    mediate: Mediate,
    pack: Callable[[bytes], bytes],
    size: str,
) -> None:
    put("date=2026-10-05/plain.jsonl.gz", body(record("a")))
    put("date=2026-10-05/plain.json.zst", body(record("b")))
    put("date=2026-10-05/packed.json", pack(body(record("c"))))
    put("date=2026-10-05/packed.txt", pack(body(record("d"))))
    put("date=2026-10-05/twice.gz", pack(pack(body(record("e")))))
    # What was packed twice is no log: its inner bytes are one record that is none.
    assert counted(mediate(config())) == {"usage": 4, "quarantined": 1}
    assert [request_id for _, request_id in placed(lake)] == ["a", "b", "c", "d"]


# -- long lines -------------------------------------------------------------------------------------------------------

LIMIT = {"limits": {"max_line_bytes": 2048}}


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress], ids=["plain", "gzip", "zstd"])
@pytest.mark.parametrize("end", [b"\n", b""], ids=["ended", "at the end"])
def test_a_line_over_the_limit_costs_itself_alone(
    lake: Lake,
    config: MakeConfig,
    put: Put,
    record: Record,
    mediate: Mediate,
    pack: Callable[[bytes], bytes],
    end: bytes,
    size: str,
) -> None:
    long = json.dumps(record("long", team="x" * 2048)).encode()
    after = body(record("b")) if end else b""
    put(KEY, pack(body(record("a")) + long + end + after))
    put("date=2026-10-05/b.jsonl", [record("z")])
    put("date=2026-10-05/c.jsonl", long)
    result = mediate(config(extra=LIMIT))
    assert counted(result) == {"usage": 3 if end else 2, "quarantined": 2}
    rows = lake.scan(QUARANTINE).sort("raw_object").collect().to_dicts()
    assert [(row["raw_object"], row["raw_line"]) for row in rows] == [(KEY, 2), ("date=2026-10-05/c.jsonl", 1)]
    assert {row["length"] for row in rows} == {len(long)}
    assert {row["sha256"] for row in rows} == {hashlib.sha256(long).hexdigest()}
    assert {row["reason"] for row in rows} == {f"a line of {len(long)} bytes, over limits.max_line_bytes"}
    assert ("b" in [request_id for _, request_id in placed(lake)]) is bool(end)


@pytest.mark.parametrize("over", [0, 1])
def test_the_limit_is_met_to_the_byte(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate, over: int, size: str
) -> None:
    short = json.dumps(record("a", team="")).encode()
    line = json.dumps(record("a", team="x" * (2048 - len(short) + over))).encode()
    put(KEY, [line, record("b")])
    assert counted(mediate(config(extra=LIMIT))) == ({"usage": 1, "quarantined": 1} if over else {"usage": 2})


def test_a_document_over_the_limit_is_one_quarantined_record(
    lake: Lake, config: MakeConfig, put: Put, mediate: Mediate, size: str
) -> None:
    call = {"id": "c", "created_at": "2026-10-05T08:00:00Z", "provider": "openai", "model": "o3", "tokens_in": 1}
    pages = {
        name: json.dumps({"result": [call | {"id": name, "path": "x" * n}]}) for name, n in {"a": 1, "b": 3000}.items()
    }
    for name, page in pages.items():
        put(f"2026-10-05-{name}.json", page.encode())
    assert counted(mediate(config(format="cloudflare", extra=LIMIT))) == {"usage": 1, "quarantined": 1}
    assert reasons(lake) == [(1, f"a line of {len(pages['b'])} bytes, over limits.max_line_bytes")]


# -- documents: an odd record costs itself alone ----------------------------------------------------------------------

PAGES = {
    "cloudflare": (
        "2026-10-05-p1.json",
        b'{"result":[%b]}',
        b'{"id":"%b","created_at":"2026-10-05T08:00:00Z","path":%b}',
    ),
    "langfuse": (
        "p/observations_v2/2026-10-05T15-00-00.json",
        b"[%b]",
        b'{"id":"%b","type":"GENERATION","start_time":"2026-10-05T08:00:00Z","updated_at":"2026-10-05T08:00:00Z","input":%b}',
    ),
    "openai_usage": (
        "2026-10-05.json",
        b'{"data":[{"start_time":1791158400,"end_time":1791244800,"results":[%b]}]}',
        b'{"object":"organization.usage.completions.result","model":"%b","input_tokens":1,"user_id":%b}',
    ),
}  # fmt: skip


@pytest.mark.parametrize("format", PAGES)
@pytest.mark.parametrize("odd", [rb'"\ud83d"', rb'"cut \uDE00"', rb'"\\\ud83d\ud83d\ude00"', b"[" * 500 + b"]" * 500])
def test_a_record_that_cannot_be_read_costs_no_other_of_its_page(
    lake: Lake, config: MakeConfig, put: Put, mediate: Mediate, format: str, odd: bytes
) -> None:
    key, page, one = PAGES[format]
    whole = [one % (b"a", rb'"\ud83d\ude00 and \\ud83d"'), one % (b"odd", odd), one % (b"b", rb'"\u2603"')]
    put(key, page % b",".join(whole))
    result = mediate(config(format=format))
    assert result.records == 3
    ids = {request_id for _, request_id in placed(lake)}
    assert {"a", "b"} <= {request_id.rpartition("model=")[2].partition("&")[0] for request_id in ids} | ids
    # Half a pair is no text, so that its record is none; brackets are nothing that anyone asks for.
    assert counted(result) == ({"usage": 3} if odd.startswith(b"[") else {"usage": 2, "quarantined": 1})


# -- files that change while they are read ----------------------------------------------------------------------------


@pytest.fixture
def before_reading(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """``before_reading(act)``: ``act`` happens when a file has been counted and is about to be read."""
    read = reading.read_json_lines

    def set_up(act: Callable[[], object]) -> None:
        def acting(*args: Any, **kwargs: Any) -> Iterator[pl.DataFrame]:
            act()
            return read(*args, **kwargs)

        monkeypatch.setattr(reading, "read_json_lines", acting)

    monkeypatch.setattr(fetching, "SMALL", 0)
    return set_up


@pytest.mark.parametrize("more", [b'{"request_id":"late"}\n', b"\n\n", b"{broken", b"x" * 100_000])
def test_what_is_appended_while_a_file_is_read_waits_for_the_next_run(
    lake: Lake,
    config: MakeConfig,
    put: Put,
    record: Record,
    mediate: Mediate,
    before_reading: Callable[[Callable[[], object]], None],
    more: bytes,
) -> None:
    file = put(KEY, [record("a"), b"{broken}", record("b")])

    def append() -> None:
        with file.open("ab") as end:
            end.write(more)

    before_reading(append)
    assert counted(mediate(config())) == {"usage": 2, "quarantined": 1}
    assert placed(lake) == [(1, "a"), (3, "b")]


@pytest.mark.parametrize("left", ["a line less", "the end of a line", "nothing"])
def test_a_file_that_is_cut_while_it_is_read_is_told_and_nothing_is_written(
    lake: Lake,
    config: MakeConfig,
    put: Put,
    record: Record,
    mediate: Mediate,
    before_reading: Callable[[Callable[[], object]], None],
    left: str,
) -> None:
    file = put(KEY, [record("a"), record("b"), b"{broken}"])
    shorter = {
        "a line less": body(record("a"), record("b")),
        "the end of a line": body(record("a"))[:-20],
        "nothing": b"",
    }
    before_reading(lambda: file.write_bytes(shorter[left]))
    with pytest.raises(SourceError, match=r"source logs, date=2026-10-05/a\.jsonl: the file was cut"):
        mediate(config())
    assert lake.partitions(USAGE) == []


def test_a_file_that_is_removed_while_it_is_read_is_read_to_its_end(
    lake: Lake,
    config: MakeConfig,
    put: Put,
    record: Record,
    mediate: Mediate,
    before_reading: Callable[[Callable[[], object]], None],
) -> None:
    file = put(KEY, [record("a"), b'{"no": "time"}'])
    before_reading(file.unlink)
    assert counted(mediate(config())) == {"usage": 1, "quarantined": 1}


def test_a_file_that_vanishes_as_it_is_opened_is_told_and_the_run_goes_on(
    lake: Lake, config: MakeConfig, put: Put, record: Record, mediate: Mediate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "SMALL", 0)
    put(KEY, [record("a")])
    gone = put("date=2026-10-05/gone.jsonl", [record("b")])
    link = LocalStore.download

    def linked_and_gone(self: LocalStore, ref: ObjectRef, target: Path) -> None:
        link(self, ref, target)
        if "gone" in ref.key:
            gone.unlink()

    monkeypatch.setattr(LocalStore, "download", linked_and_gone)
    assert counted(mediate(config())) == {"usage": 1}
    assert states(lake)["date=2026-10-05/gone.jsonl"] == "vanished"
