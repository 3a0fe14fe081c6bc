import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from finops_pipeline.pricing.book import compile_book
from finops_pipeline.pricing.rating import METERS_OF_GROUP, QUANTITIES, rate
from finops_pipeline.pricing.segments import FRACTIONAL_METERS, WHOLE_METERS
from finops_pipeline.schemas import PRICED_USAGE
from finops_pipeline.schemas.priced_usage import COST_GROUPS, PRICE_REASONS

MILLION = 1_000_000
ACME = {"provider": "acme", "raw_model": "m"}
COSTS = ("list_cost", "contracted_cost", "cost", *COST_GROUPS)
OWNERSHIP = {"raw_team", "raw_project", "cost_center", "allocation_rule"}


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)


def verdict(row: dict[str, Any]) -> tuple[str, str | None, Decimal | None]:
    return row["price_status"], row["price_reason"], row["cost"]


def unpriced(reason: str) -> tuple[str, str, None]:
    return "unpriced", reason, None


# -- the frame -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [0, 1])
def test_the_result_is_priced_usage_without_owners(rows: int, calls: Any, catalogue_book: Any) -> None:
    frame = rate(calls(*[{}] * rows), catalogue_book, {}).collect()
    wanted = {c.name: c.dtype for c in PRICED_USAGE.columns if c.name not in OWNERSHIP}
    assert dict(frame.schema) == wanted
    assert frame.height == rows
    assert not frame.select(c.name for c in PRICED_USAGE.columns if not c.nullable).null_count().sum_horizontal().sum()


def test_rows_keep_their_order_and_further_columns_pass_through(calls: Any, catalogue_book: Any) -> None:
    models = ["gpt-5", "nonsense", "gpt-5-nano", "gpt-5"] * 50
    usage = calls(*({"raw_model": m, "request_id": str(n)} for n, m in enumerate(models))).with_columns(day=pl.lit(1))
    frame = rate(usage, catalogue_book, {}).collect()
    assert frame["request_id"].to_list() == [str(n) for n in range(200)]
    assert frame["day"].to_list() == [1] * 200
    assert frame["book_version"].unique().to_list() == [catalogue_book.version]


def test_a_filter_on_the_result_may_be_pushed_down(calls: Any, catalogue_book: Any) -> None:
    priced = rate(calls({"output_tokens": 1}, {"raw_model": "nonsense"}), catalogue_book, {})
    found = priced.filter(pl.col("model") == "gpt-5").select("cost").collect()
    assert found["cost"].to_list() == [Decimal("0.00001")]


def test_every_meter_of_usage_belongs_to_one_group() -> None:
    assert sorted(m for meters in METERS_OF_GROUP.values() for m in meters) == sorted(QUANTITIES)
    # Cached audio is not told apart in usage, and seconds, pages and hours not counted.
    assert set(QUANTITIES) == set(WHOLE_METERS) - {"cache_read_audio"}
    assert not set(QUANTITIES) & set(FRACTIONAL_METERS)
    assert tuple(METERS_OF_GROUP) == COST_GROUPS


# -- free, missing, invalid ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        {"status": "error", "output_tokens": 500},
        {"status": "error", "raw_model": "nonsense", "output_tokens": 500},
        {"status": "error", "input_tokens": None, "usage_quality": "missing"},
        {"gateway_cache_hit": True, "output_tokens": 500},
    ],
)
def test_failed_calls_and_gateway_cache_hits_are_free(call: dict[str, Any], rated: Any) -> None:
    row = rated(**call)
    assert verdict(row) == ("free", None, Decimal(0))
    assert [row[name] for name in COSTS] == [Decimal(0)] * len(COSTS)


@pytest.mark.parametrize("hit", [None, False])
def test_other_calls_are_not(hit: bool | None, rated: Any) -> None:
    assert verdict(rated(gateway_cache_hit=hit, output_tokens=MILLION)) == ("priced", None, Decimal(10))


@pytest.mark.parametrize(
    "call",
    [
        {"usage_quality": "missing", "output_tokens": 5},
        {"input_tokens": None},
        {"cache_write_1h_tokens": None, "output_tokens": 5},
    ],
)
def test_unknown_usage_has_no_price(call: dict[str, Any], rated: Any) -> None:
    row = rated(**call)
    assert verdict(row) == unpriced("missing_usage")
    assert [row[name] for name in COST_GROUPS] == [None] * 5


def test_unknown_parts_and_searches_count_as_none(rated: Any) -> None:
    row = rated(output_tokens=MILLION, reasoning_tokens=None, input_audio_tokens=None, web_searches=None)
    assert verdict(row) == ("priced", None, Decimal(10))


@pytest.mark.parametrize(
    "call",
    [
        {"input_tokens": -1},
        {"output_tokens": 5, "reasoning_tokens": 6},
        {"input_tokens": 10, "input_audio_tokens": 6, "input_image_tokens": 5},
        {"output_tokens": 10, "reasoning_tokens": -1},
    ],
)
def test_parts_that_exceed_their_class_are_invalid(call: dict[str, Any], rated: Any) -> None:
    assert verdict(rated(**call)) == unpriced("invalid_usage")


WHOLE = 2**63 - 1
"""The largest count that a log can have."""


@pytest.mark.parametrize(
    ("rate_of", "tokens"),
    [
        ({"unit_price": Decimal(1)}, {"input_tokens": 10**12}),
        ({"unit_price": Decimal(1)}, {"input_tokens": WHOLE}),
        ({"unit_price": Decimal("999999.999999999999999999"), "per_qty": 1}, {"input_tokens": 1}),
        ({"unit_price": Decimal("999999.999999999999999999"), "per_qty": 1}, {"input_tokens": WHOLE}),
        ({"unit_price": Decimal("0.001"), "per_qty": 1000, "meter": "output"}, {"output_tokens": 10**12}),
        ({"unit_price": Decimal(1), "per_qty": 1, "meter": "request"}, {"request_count": 1_000_000}),
        ({"unit_price": Decimal(1)}, {"input_tokens": 0, "input_audio_tokens": WHOLE, "input_image_tokens": WHOLE}),
    ],
)
@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
def test_a_hostile_line_has_no_price_and_costs_the_day_no_other(
    rate_of: dict[str, Any], tokens: dict[str, int], engine: Any, calls: Any, book_of: Any
) -> None:
    """Each with a usual call before and after, at a usual price."""
    book = book_of(rate_of, {"model_key": "usual"})
    usual = {"provider": "acme", "raw_model": "usual", "input_tokens": 3 * MILLION}
    rows = rate(calls(usual, {**ACME, **tokens}, usual), book, {}).collect(engine=engine).to_dicts()
    assert verdict(rows[1]) == unpriced("invalid_usage")
    assert [rows[1][name] for name in COSTS] == [None] * len(COSTS)
    assert [row["cost"] for row in (rows[0], rows[2])] == [3, 3]


def test_a_hostile_line_is_charged_what_it_reports_and_free_where_it_failed(rated: Any, book_of: Any) -> None:
    huge = {**ACME, "input_tokens": 10**12}
    row = rated(book_of({}), basis="reported", reported_cost=Decimal("1.5"), **huge)
    assert verdict(row) == ("priced", "invalid_usage", Decimal("1.5"))
    assert row["list_cost"] is None
    assert verdict(rated(book_of({}), status="error", **huge)) == ("free", None, Decimal(0))


def test_groups_that_only_together_pass_the_limit_are_invalid_too(rated: Any, book_of: Any) -> None:
    book = book_of({"per_qty": 1}, {"meter": "output", "per_qty": 1})
    row = rated(book, **ACME, input_tokens=600_000, output_tokens=400_000)
    assert verdict(row) == unpriced("invalid_usage")
    assert [row[name] for name in COST_GROUPS] == [None] * 5
    below = rated(book, **ACME, input_tokens=600_000, output_tokens=399_999)
    assert verdict(below) == ("priced", None, Decimal(999_999))


def test_many_tokens_that_cost_little_have_their_price(rated: Any, book_of: Any) -> None:
    tiny = book_of({"unit_price": Decimal("1E-18"), "per_qty": 1})
    assert rated(tiny, **ACME, input_tokens=10**18)["cost"] == 1
    assert rated(book_of({"unit_price": Decimal(0)}), **ACME, input_tokens=10**15)["cost"] == 0


def test_a_call_without_tokens_costs_nothing(rated: Any) -> None:
    assert verdict(rated()) == ("priced", None, Decimal(0))


# -- models, tiers, scopes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ({"raw_model": "nonsense"}, "unresolved_model"),
        ({"raw_model": None}, "unresolved_model"),
        ({"provider": "aws", "raw_model": "arn:aws:bedrock:us-east-1:1:provisioned-model/abc"}, "opaque_id"),
        ({"provider": "aws", "raw_model": "arn:aws:bedrock:us-east-1:1:imported-model/abc"}, "opaque_id"),
        ({"raw_model": "gpt-4o-audio-preview", "batch": True}, "unknown_tier"),
        ({"batch": True, "event_time": dt.datetime(2026, 10, 13, 23, 59, tzinfo=dt.UTC)}, "before_history"),
        ({"raw_model": "gpt-4o", "service_tier": "flex"}, "unknown_tier"),
        ({"service_tier": "provisioned"}, "unknown_tier"),
        ({"service_tier": "Standard"}, "unknown_tier"),
    ],
)
def test_no_price_for_what_the_book_does_not_have(call: dict[str, Any], reason: str, rated: Any) -> None:
    row = rated(output_tokens=5, **call)
    assert verdict(row) == unpriced(reason)
    assert [row[name] for name in COST_GROUPS] == [None] * 5
    assert reason in PRICE_REASONS


@pytest.mark.parametrize("tier", [None, "standard", "default", "auto", "on_demand"])
def test_the_standard_tier_has_several_names(tier: str | None, rated: Any) -> None:
    assert rated(service_tier=tier, output_tokens=MILLION)["cost"] == 10


def test_more_tiers_are_more_rows(rated: Any, book_of: Any) -> None:
    book = book_of({"tier": "standard"}, {"tier": "batch", "unit_price": Decimal("0.5")}, {"tier": "flex"})
    half = rated(book, **ACME, input_tokens=MILLION, batch=True, service_tier="priority")
    assert half["cost"] == Decimal("0.5")
    assert verdict(rated(book, **ACME, input_tokens=1, service_tier="priority")) == unpriced("unknown_tier")


def test_a_cache_class_that_a_tier_has_no_price_for_is_a_hole_there(rated: Any, book_of: Any) -> None:
    book = book_of({}, {"meter": "cache_read", "unit_price": Decimal("0.1")}, {"tier": "batch"})
    assert rated(book, **ACME, cache_read_tokens=MILLION)["cost"] == Decimal("0.1")
    queued = rated(book, **ACME, cache_read_tokens=MILLION, input_tokens=MILLION, batch=True)
    assert verdict(queued) == unpriced("no_rate_for_meter")
    assert queued["input_cost"] == 1


def test_an_alias_makes_an_opaque_id_a_model(rated: Any, config_of: Any) -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2"
    aliases = {"application-inference-profile/a1b2": "global.anthropic.claude-sonnet-4-5-20250929-v1:0"}
    book = compile_book(config_of(model_aliases=aliases))
    row = rated(book, provider="aws", raw_model=arn, output_tokens=MILLION)
    assert (row["model"], row["cost"]) == ("anthropic.claude-sonnet-4-5-20250929-v1:0", 15)


BEDROCK_SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"


@pytest.mark.parametrize(
    ("raw_model", "scope", "cost"),
    [
        (f"global.{BEDROCK_SONNET}", "global", "15"),
        (f"us.{BEDROCK_SONNET}", "geo:us", "16.5"),
        (BEDROCK_SONNET, "in-region", "16.5"),
        (f"global.{BEDROCK_SONNET}", None, "15"),
        (f"us.{BEDROCK_SONNET}", None, "16.5"),
        (BEDROCK_SONNET, None, "16.5"),
        ("claude-sonnet-4-5-20250929", None, "16.5"),
        (f"arn:aws:bedrock:us-east-1:1:inference-profile/global.{BEDROCK_SONNET}", "global", "15"),
        (f"arn:aws:bedrock:us-east-1::foundation-model/{BEDROCK_SONNET}", "in-region", "16.5"),
    ],
)
def test_bedrock_costs_by_endpoint(raw_model: str, scope: str | None, cost: str, rated: Any) -> None:
    row = rated(provider="aws", raw_model=raw_model, region_scope=scope, output_tokens=MILLION)
    assert (row["model"], row["cost"]) == (BEDROCK_SONNET, Decimal(cost))


def test_a_scope_in_which_the_model_is_not_sold_has_no_rate(rated: Any) -> None:
    row = rated(provider="aws", raw_model="eu.moonshotai.kimi-k3", region_scope="geo:eu", output_tokens=1)
    assert verdict(row) == unpriced("no_rate_for_meter")


def test_a_row_without_scope_serves_every_scope_and_one_with_it_its_own(rated: Any, book_of: Any) -> None:
    book = book_of({}, {"region_scope": "geo:eu", "unit_price": Decimal("1.1")})
    costs = [
        rated(book, **ACME, region_scope=s, input_tokens=MILLION)["cost"] for s in ("geo:eu", "geo:us", "global", None)
    ]
    assert costs == [Decimal("1.1"), 1, 1, 1]


# -- time, context, hours --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time", "cost"),
    [
        (utc(2026, 2, 28, 23, 59, 59), 1),
        (utc(2026, 3, 1), 2),
        (utc(2026, 3, 31, 15, 59, 59), 2),
        (utc(2026, 3, 31, 16), 3),
    ],
)
def test_prices_hold_half_open(time: dt.datetime, cost: int, rated: Any, book_of: Any) -> None:
    book = book_of(
        {"valid_to": utc(2026, 3, 1)},
        {"valid_from": utc(2026, 3, 1), "valid_to": utc(2026, 3, 31, 16), "unit_price": Decimal(2)},
        {"valid_from": utc(2026, 3, 31, 16), "unit_price": Decimal(3)},
    )
    assert rated(book, **ACME, event_time=time, input_tokens=MILLION)["cost"] == cost


def test_before_the_first_price_there_is_none(rated: Any, book_of: Any) -> None:
    book = book_of({"valid_from": utc(2026, 3, 1), "valid_to": utc(2026, 6, 1)}, {"model_key": "other"})
    call = {**ACME, "input_tokens": 1}
    assert verdict(rated(book, **call, event_time=utc(2026, 2, 28))) == unpriced("before_history")
    assert rated(book, **call, event_time=utc(2026, 3, 1))["price_status"] == "priced"
    assert verdict(rated(book, **call, event_time=utc(2026, 6, 1))) == unpriced("no_rate_for_meter")


@pytest.mark.parametrize(
    "tokens",
    [
        {"input_tokens": 201},
        {"input_tokens": 1, "cache_read_tokens": 200},
        {"input_tokens": 1, "cache_write_5m_tokens": 100, "cache_write_1h_tokens": 100},
    ],
)
def test_the_context_threshold_counts_all_input_and_reprices_the_whole_call(
    tokens: dict[str, int], rated: Any, book_of: Any
) -> None:
    meters = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output")
    short = [{"meter": m, "ctx_le": 200, "per_qty": 1} for m in meters]
    long = [{"meter": m, "ctx_gt": 200, "per_qty": 1, "unit_price": Decimal(2)} for m in meters]
    row = rated(book_of(*short, *long), **ACME, **tokens, output_tokens=1000)
    assert row["cost"] == 2 * (sum(tokens.values()) + 1000)


def test_calls_that_pass_a_threshold_together_do_not_say_which_did(rated: Any, book_of: Any) -> None:
    book = book_of({"ctx_le": 200, "per_qty": 1}, {"ctx_gt": 200, "per_qty": 1, "unit_price": Decimal(2)})
    assert rated(book, **ACME, input_tokens=200, request_count=2)["cost"] == 200
    assert verdict(rated(book, **ACME, input_tokens=201, request_count=2)) == unpriced("missing_usage")
    flat = book_of({"per_qty": 1}, {"model_key": "other", "ctx_gt": 200})
    assert rated(flat, **ACME, input_tokens=201, request_count=2)["cost"] == 201


def test_exactly_at_the_threshold_the_call_is_short_and_output_does_not_count(rated: Any, book_of: Any) -> None:
    book = book_of(
        {"ctx_le": 200, "per_qty": 1},
        {"ctx_gt": 200, "per_qty": 1, "unit_price": Decimal(2)},
        {"meter": "output", "per_qty": 1},
    )
    assert rated(book, **ACME, input_tokens=200, output_tokens=500)["cost"] == 700


@pytest.mark.parametrize(
    ("time", "cost"),
    [
        (utc(2026, 11, 2, 8, 59), 1),  # Monday
        (utc(2026, 11, 2, 9, 0), 3),
        (utc(2026, 11, 6, 16, 59, 59), 3),  # Friday
        (utc(2026, 11, 6, 17, 0), 1),
        (utc(2026, 11, 7, 12, 0), 1),  # Saturday
        (utc(2026, 11, 8, 23, 59, 59), 1),  # Sunday
    ],
)
def test_prices_by_the_hour_of_the_week(time: dt.datetime, cost: int, rated: Any, book_of: Any) -> None:
    off_peak = ("1-5 00:00-09:00", "1-5 17:00-24:00", "6-7 00:00-24:00")
    book = book_of(
        *({"schedule": "UTC", "schedule_band": band} for band in off_peak),
        {"schedule": "UTC", "schedule_band": "1-5 09:00-17:00", "unit_price": Decimal(3)},
    )
    assert rated(book, **ACME, event_time=time, input_tokens=MILLION)["cost"] == cost


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
def test_one_edge_is_an_axis_too(engine: Any, calls: Any, book_of: Any) -> None:
    book = book_of(
        {"valid_to": utc(2026, 3, 1), "ctx_le": 200, "per_qty": 1},
        {"valid_from": utc(2026, 3, 1), "ctx_le": 200, "per_qty": 1, "unit_price": Decimal(2)},
        {"valid_from": utc(2026, 3, 1), "ctx_gt": 200, "per_qty": 1, "unit_price": Decimal(3)},
    )
    places = [(utc(2026, 2, 1), 200), (utc(2026, 2, 1), 201), (utc(2026, 4, 1), 200), (utc(2026, 4, 1), 201)]
    usage = calls(*({**ACME, "event_time": time, "input_tokens": tokens} for time, tokens in places))
    assert rate(usage, book, {}).collect(engine=engine)["cost"].to_list() == [200, None, 400, 603]


# -- meters ----------------------------------------------------------------------------------------------------------


def test_each_meter_has_its_rate_and_each_group_its_meters(rated: Any, book_of: Any) -> None:
    prices = {
        "input": 1, "input_audio": 2, "input_image": 3, "cache_read": 4, "cache_write_5m": 5, "cache_write_1h": 6,
        "output": 7, "output_reasoning": 8, "output_audio": 9, "output_image": 10, "web_search": 11, "request": 12,
    }  # fmt: skip
    book = book_of(*({"meter": m, "unit_price": Decimal(price), "per_qty": 1} for m, price in prices.items()))
    row = rated(
        book, **ACME, request_count=2,
        input_tokens=111, input_audio_tokens=10, input_image_tokens=1,
        cache_read_tokens=1, cache_write_5m_tokens=2, cache_write_1h_tokens=3,
        output_tokens=1111, reasoning_tokens=100, output_audio_tokens=10, output_image_tokens=1, web_searches=4,
    )  # fmt: skip
    assert row["input_cost"] == 100 * 1 + 10 * 2 + 1 * 3
    assert row["cache_read_cost"] == 1 * 4
    assert row["cache_write_cost"] == 2 * 5 + 3 * 6
    assert row["output_cost"] == 1000 * 7 + 100 * 8 + 10 * 9 + 1 * 10
    assert row["other_cost"] == 4 * 11 + 2 * 12
    assert row["list_cost"] == row["contracted_cost"] == row["cost"] == sum(row[g] for g in COST_GROUPS)


def test_parts_without_a_rate_cost_what_their_class_costs(rated: Any, book_of: Any) -> None:
    book = book_of({"per_qty": 1}, {"meter": "output", "per_qty": 1, "unit_price": Decimal(2)})
    row = rated(
        book, **ACME, input_tokens=10, input_audio_tokens=4, input_image_tokens=3, output_tokens=10,
        reasoning_tokens=9, output_audio_tokens=1,
    )  # fmt: skip
    assert (row["input_cost"], row["output_cost"]) == (10, 20)


@pytest.mark.parametrize("meter", ["cache_read", "cache_write_5m", "cache_write_1h"])
def test_a_class_without_a_rate_is_a_hole_and_other_groups_keep_their_costs(
    meter: str, rated: Any, book_of: Any
) -> None:
    book = book_of({"per_qty": 1}, {"meter": "output", "per_qty": 1})
    row = rated(book, **ACME, **{f"{meter}_tokens": 7}, input_tokens=3, output_tokens=2)
    assert verdict(row) == unpriced("no_rate_for_meter")
    assert (row["list_cost"], row["contracted_cost"]) == (None, None)
    assert (row["input_cost"], row["output_cost"], row["other_cost"]) == (3, 2, 0)
    holes = [group for group in COST_GROUPS if row[group] is None]
    assert holes == [next(g for g, meters in METERS_OF_GROUP.items() if meter in meters)]


def test_a_meter_without_a_quantity_needs_no_rate(rated: Any, book_of: Any) -> None:
    assert verdict(rated(book_of({"per_qty": 1}), **ACME, input_tokens=3)) == ("priced", None, Decimal(3))


def test_searches_without_a_rate_are_a_hole_but_requests_are_not(rated: Any, book_of: Any) -> None:
    assert verdict(rated(book_of({}), **ACME, web_searches=1)) == unpriced("no_rate_for_meter")
    assert rated(book_of({}), **ACME, request_count=5)["price_status"] == "priced"


@pytest.mark.parametrize("meter", ["audio_second", "page", "gpu_hour"])
def test_what_is_billed_by_a_meter_that_usage_does_not_count_has_no_price(meter: str, rated: Any, book_of: Any) -> None:
    book = book_of({}, {"meter": meter, "per_qty": 3600})
    assert verdict(rated(book, **ACME, input_tokens=1)) == unpriced("missing_usage")
    waived = book_of({}, {"meter": meter, "unit_price": Decimal(0)})
    assert rated(waived, **ACME, input_tokens=MILLION)["cost"] == 1


# -- reported cost ---------------------------------------------------------------------------------------------------


def test_the_reported_cost_stays_beside_ours(rated: Any) -> None:
    row = rated(output_tokens=MILLION, reported_cost=Decimal(9))
    assert (row["cost"], row["contracted_cost"], row["reported_cost"]) == (10, 10, 9)


def test_where_the_config_says_so_the_reported_cost_is_charged(rated: Any) -> None:
    row = rated(basis="reported", output_tokens=MILLION, reported_cost=Decimal(9))
    assert verdict(row) == ("priced", None, Decimal(9))
    assert row["list_cost"] == row["contracted_cost"] == 10


def test_a_reported_zero_is_charged_as_zero(rated: Any) -> None:
    row = rated(basis="reported", output_tokens=MILLION, reported_cost=Decimal(0))
    assert verdict(row) == ("priced", None, Decimal(0))


def test_without_a_reported_cost_nothing_is_guessed(rated: Any) -> None:
    row = rated(basis="reported", output_tokens=MILLION)
    assert verdict(row) == unpriced("no_reported_cost")
    assert row["list_cost"] == 10


def test_a_reported_cost_prices_what_the_book_cannot(rated: Any) -> None:
    row = rated(basis="reported", raw_model="nonsense", output_tokens=5, reported_cost=Decimal(3))
    assert verdict(row) == ("priced", "unresolved_model", Decimal(3))
    assert row["list_cost"] is None


@pytest.mark.parametrize(
    ("reported", "status", "cost"), [(None, "free", 0), (Decimal(0), "free", 0), (Decimal(2), "priced", 2)]
)
def test_a_failed_call_costs_what_the_log_reports(reported: Decimal | None, status: str, cost: int, rated: Any) -> None:
    row = rated(basis="reported", status="error", output_tokens=5, reported_cost=reported)
    assert verdict(row) == (status, None, Decimal(cost))
    assert row["contracted_cost"] == 0


def test_each_source_has_its_own_basis(calls: Any, catalogue_book: Any) -> None:
    usage = calls(*({"source": s, "output_tokens": MILLION, "reported_cost": Decimal(9)} for s in ("a", "b", "c")))
    frame = rate(usage, catalogue_book, {"a": "reported", "b": "contracted"}).collect()
    assert frame["cost"].to_list() == [9, 10, 10]
