"""The catalogue's rows against the catalogue's own prices, and what its data cannot say."""

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from genai_prices import Usage
from genai_prices.data import providers
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)

from finops_pipeline.pricing.book import PriceBook
from finops_pipeline.pricing.catalogue import Catalogue, catalogue
from finops_pipeline.pricing.corrections import corrections
from finops_pipeline.pricing.patterns import pattern
from finops_pipeline.pricing.rating import rate

NOON = dt.datetime(2026, 11, 4, 12, tzinfo=dt.UTC)

CHEAP, DEAR = ModelPrice(input_mtok=Decimal(1)), ModelPrice(input_mtok=Decimal(2))


def midnight(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)


def rows_of(prices: Any, provider: str = "acme", model: str = "m", variants: Any = None) -> pl.DataFrame:
    info = ModelInfo(id=model, match=ClauseEquals(equals=model), prices=prices, price_variants=variants)
    rows = Catalogue([Provider(id=provider, name=provider, api_pattern="", models=[info])], "1", corrections()).rows
    return rows.filter(pl.col("source") == "genai-prices")


def test_prices_become_rows_of_meters() -> None:
    rows = rows_of(
        ModelPrice(
            input_mtok=Decimal("0.1"), output_mtok=Decimal(2), cache_read_mtok=Decimal(3), cache_write_mtok=Decimal(4),
            cache_write_1h_mtok=Decimal(5), web_searches_kcount=Decimal(6), requests_kcount=Decimal(7),
            storage_searches_kcount=Decimal(8), input_mchars=Decimal(9),
        )
    )  # fmt: skip
    assert rows.select("meter", "unit_price", "per_qty").rows() == [
        ("input", Decimal("0.1"), 1_000_000),
        ("output", Decimal(2), 1_000_000),
        ("cache_read", Decimal(3), 1_000_000),
        ("cache_write_5m", Decimal(4), 1_000_000),
        ("cache_write_1h", Decimal(5), 1_000_000),
        ("web_search", Decimal(6), 1000),
        ("request", Decimal(7), 1000),
    ]
    assert rows.select("source", "source_version", "tier", "layer").unique().rows() == [
        ("genai-prices", "1", "standard", 0)
    ]


def test_tiers_become_spans_of_context() -> None:
    tiered = TieredPrices(base=Decimal(1), tiers=[Tier(start=300, price=Decimal(3)), Tier(start=200, price=Decimal(2))])
    rows = rows_of(ModelPrice(input_mtok=tiered))
    assert rows.select("ctx_gt", "ctx_le", "unit_price").rows() == [(None, 200, 1), (200, 300, 2), (300, None, 3)]


def test_start_dates_become_half_open_spans_of_utc() -> None:
    rows = rows_of(
        [
            ConditionalPrice(prices=CHEAP),
            ConditionalPrice(StartDateConstraint(dt.date(2026, 3, 1)), prices=DEAR),
            ConditionalPrice(StartDateConstraint(dt.date(2026, 6, 1)), prices=CHEAP),
        ]
    )
    assert rows.select("valid_from", "valid_to", "unit_price").rows() == [
        (None, midnight(2026, 3, 1), 1),
        (midnight(2026, 3, 1), midnight(2026, 6, 1), 2),
        (midnight(2026, 6, 1), None, 1),
    ]


def test_a_daily_window_becomes_bands_of_the_week() -> None:
    window = TimeOfDateConstraint(dt.time(0, 30, tzinfo=dt.UTC), dt.time(16, 30, tzinfo=dt.UTC))
    rows = rows_of([ConditionalPrice(prices=CHEAP), ConditionalPrice(window, prices=DEAR)])
    assert rows.select("schedule", "schedule_band", "unit_price").rows() == [
        ("UTC", "1-7 00:00-00:30", 1),
        ("UTC", "1-7 16:30-24:00", 1),
        ("UTC", "1-7 00:30-16:30", 2),
    ]


def variant(price: str, start: dt.date | None = None, **when: str) -> PriceVariant:
    constraint = StartDateConstraint(start) if start else None
    return PriceVariant(when or {"processing": "batch"}, ModelPrice(input_mtok=Decimal(price)), constraint)


def tier_rows(prices: Any, *variants: PriceVariant) -> list[tuple[Any, ...]]:
    """Rows of other tiers than the standard one: tier, meter, span of time, price, origin."""
    rows = rows_of(prices, variants=list(variants)).filter(pl.col("tier") != "standard")
    return rows.select("tier", "meter", "valid_from", "valid_to", "unit_price", "rate_origin").rows()


def test_variants_become_tiers_from_their_start_on() -> None:
    rows = tier_rows(
        CHEAP,
        variant("0.5", dt.date(2026, 10, 14)),
        variant("0.4", service_tier="flex"),
        variant("3", speed="fast"),
        variant("4", service_tier="priority"),
    )
    assert rows == [
        ("batch", "input", midnight(2026, 10, 14), None, Decimal("0.5"), "explicit"),
        ("flex", "input", None, None, Decimal("0.4"), "explicit"),
        ("fast", "input", None, None, 3, "explicit"),
        ("priority", "input", None, None, 4, "explicit"),
    ]


def test_what_a_variant_does_not_name_costs_what_it_costs_without() -> None:
    base = [
        ConditionalPrice(prices=ModelPrice(input_mtok=Decimal(1), cache_read_mtok=Decimal("0.2"))),
        ConditionalPrice(
            StartDateConstraint(dt.date(2026, 11, 1)),
            prices=ModelPrice(input_mtok=Decimal(1), cache_read_mtok=Decimal("0.1")),
        ),
    ]
    assert tier_rows(base, variant("0.5", dt.date(2026, 10, 14))) == [
        ("batch", "input", midnight(2026, 10, 14), None, Decimal("0.5"), "explicit"),
        ("batch", "cache_read", midnight(2026, 10, 14), midnight(2026, 11, 1), Decimal("0.2"), "inherited"),
        ("batch", "cache_read", midnight(2026, 11, 1), None, Decimal("0.1"), "inherited"),
    ]


@pytest.mark.parametrize(
    ("model", "provider", "cost", "reason"),
    [
        ("gpt-4.1", "openai", None, "no_rate_for_meter"),  # OpenAI's table of batch prices has no cached input
        ("gpt-5", "openai", Decimal("0.0625"), None),  # or it has
        ("gemini-2.5-flash", "google", Decimal("0.03"), None),  # Google's says that the standard rate stays
        ("claude-sonnet-4-5", "anthropic", Decimal("0.3"), None),
    ],
)
def test_a_batch_cache_read_costs_what_the_provider_publishes(
    model: str, provider: str, cost: Decimal | None, reason: str | None, rated: Any
) -> None:
    call = rated(raw_model=model, provider=provider, batch=True, cache_read_tokens=1_000_000)
    assert (call["cost"], call["price_reason"]) == (cost, reason)


def test_what_is_unpublished_is_inherited_at_no_tier_but_that_one() -> None:
    base = ModelPrice(input_mtok=Decimal(2), cache_read_mtok=Decimal("0.5"), web_searches_kcount=Decimal(10))
    variants = [variant("1"), variant("1.5", service_tier="flex")]
    tiers = rows_of(base, provider="openai", variants=variants).filter(rate_origin="inherited")
    assert tiers.select("tier", "meter").rows() == [
        ("batch", "web_search"),
        ("flex", "cache_read"),
        ("flex", "web_search"),
    ]


def test_of_two_variants_for_a_tier_the_first_that_has_begun_holds() -> None:
    rows = tier_rows(CHEAP, variant("0.5", dt.date(2026, 10, 14)), variant("0.6"), variant("0.7"))
    assert [(start, end, price) for _, _, start, end, price, _ in rows] == [
        (midnight(2026, 10, 14), None, Decimal("0.5")),
        (None, midnight(2026, 10, 14), Decimal("0.6")),
    ]


@pytest.mark.parametrize(
    "unknown",
    [
        variant("1", service_tier="default"),
        variant("1", route="mistral/eu"),
        variant("1", processing="batch", service_tier="flex"),
        PriceVariant({"processing": "batch"}, CHEAP, TimeOfDateConstraint(dt.time(1), dt.time(2))),
    ],
)
def test_a_variant_that_is_no_tier_has_no_rows(unknown: PriceVariant) -> None:
    assert tier_rows(DEAR, unknown) == []


@pytest.mark.parametrize(("tier", "context"), [("batch", ("processing", "batch")), ("flex", ("service_tier", "flex"))])
def test_a_tier_costs_what_the_catalogue_itself_says(tier: str, context: tuple[str, str], calls: Any) -> None:
    book, usage, expected = PriceBook.from_rows(catalogue().rows, names=catalogue().names), [], []
    tokens = {"input_tokens": 300_000, "output_tokens": 700}
    for provider in providers:
        for model in provider.models:
            if not any(dict([context]) == found.when for found in model.price_variants or ()):
                continue
            prices = model.get_prices(NOON)
            by_token = prices.output_mtok is not None and prices.audio_hours is None
            if not by_token or provider.find_model(model.id) is not model:
                continue
            usage.append({"provider": provider.id, "raw_model": model.id, "service_tier": tier, **tokens})
            theirs = model.calc_price(
                Usage(**tokens), provider, genai_request_timestamp=NOON, price_context=dict([context])
            )
            expected.append(theirs.total_price.quantize(Decimal("1E-12")))
    assert len(usage) > 20
    assert rate(calls(*usage), book, {}).collect()["cost"].to_list() == expected


@pytest.mark.parametrize(
    "prices",
    [
        [],
        [ConditionalPrice(StartDateConstraint(dt.date(2026, 3, 1)), prices=CHEAP)],
        [
            ConditionalPrice(prices=CHEAP),
            ConditionalPrice(StartDateConstraint(dt.date(2026, 6, 1)), prices=DEAR),
            ConditionalPrice(StartDateConstraint(dt.date(2026, 3, 1)), prices=CHEAP),
        ],
        [ConditionalPrice(prices=CHEAP), ConditionalPrice(TimeOfDateConstraint(dt.time(22), dt.time(6)), prices=DEAR)],
    ],
)
def test_what_is_not_understood_has_no_rows(prices: list[ConditionalPrice]) -> None:
    assert rows_of(prices).is_empty()


@pytest.mark.parametrize(
    ("model", "time", "output"),
    [
        ("deepseek-v4-pro", midnight(2026, 8, 16) + dt.timedelta(hours=2), "0.87"),  # flat before the schedule
        (
            "deepseek-v4-pro",
            midnight(2026, 8, 22) + dt.timedelta(hours=2),
            "3.96",
        ),  # a Saturday before weekends were free
        ("deepseek-v4-pro", midnight(2026, 8, 29) + dt.timedelta(hours=2), "1.98"),  # a Saturday after
        ("deepseek-v4-pro", midnight(2026, 8, 24) + dt.timedelta(hours=5), "1.98"),
        ("deepseek-v4-pro", midnight(2026, 8, 24) + dt.timedelta(hours=9, minutes=59), "3.96"),
        ("deepseek-v4-flash", midnight(2026, 8, 24) + dt.timedelta(hours=5), "0.66"),
        ("deepseek-v4-flash", midnight(2026, 8, 24) + dt.timedelta(hours=2), None),  # a peak price that is not known
        ("deepseek-v4-flash", midnight(2026, 9, 10) + dt.timedelta(hours=2), "1.2"),
        ("deepseek-chat", midnight(2026, 11, 7) + dt.timedelta(hours=2), "1.1"),
    ],
)
def test_deepseeks_hours(model: str, time: dt.datetime, output: str | None, rated: Any) -> None:
    row = rated(provider="deepseek", raw_model=model, event_time=time, output_tokens=1_000_000)
    assert row["cost"] == (None if output is None else Decimal(output))
    assert row["price_reason"] == (None if output else "no_rate_for_meter")


@pytest.mark.parametrize(
    ("time", "cache_read_tokens", "cost"),
    [
        (midnight(2025, 11, 7) - dt.timedelta(microseconds=1), 200_000, "0.062"),
        (midnight(2025, 11, 7) - dt.timedelta(microseconds=1), 200_001, None),  # what it cost then is not known
        (midnight(2025, 11, 7), 200_000, "0.025"),
        (midnight(2025, 11, 7), 400_000, "0.1"),
    ],
)
def test_a_price_that_the_catalogue_overwrote(
    time: dt.datetime, cache_read_tokens: int, cost: str | None, rated: Any
) -> None:
    row = rated(provider="google", raw_model="gemini-2.5-pro", event_time=time, cache_read_tokens=cache_read_tokens)
    assert row["cost"] == (None if cost is None else Decimal(cost))


def test_a_correction_is_marked_as_one_and_changes_no_other_price() -> None:
    rows = catalogue().rows.filter(provider="google", model_key="gemini-2.5-pro", tier="standard")
    changed = rows.filter(pl.col("valid_from").is_not_null() | pl.col("valid_to").is_not_null())
    assert changed.sort("valid_from", "ctx_gt").select("meter", "rate_origin", "valid_to", "unit_price").rows() == [
        ("cache_read", "overridden", midnight(2025, 11, 7), Decimal("0.31")),
        ("cache_read", "explicit", None, Decimal("0.125")),
        ("cache_read", "explicit", None, Decimal("0.25")),
    ]
    assert catalogue().rows["price_id"].is_unique().all()


def test_a_price_that_the_catalogue_dates_itself_is_not_corrected() -> None:
    old, new = ModelPrice(cache_read_mtok=Decimal("0.31")), ModelPrice(cache_read_mtok=Decimal("0.125"))
    history = [ConditionalPrice(prices=old), ConditionalPrice(StartDateConstraint(dt.date(2025, 10, 1)), prices=new)]
    rows = rows_of(history, "google", "gemini-2.5-pro")
    assert rows.select("valid_from", "valid_to", "unit_price").rows() == [
        (None, midnight(2025, 10, 1), Decimal("0.31")),
        (midnight(2025, 10, 1), None, Decimal("0.125")),
    ]


def test_every_correction_is_of_a_model_that_the_catalogue_has() -> None:
    rows = catalogue().rows
    own = rows.filter(pl.col("source") == "genai-prices")
    meters = set(own.select("provider", "model_key", pl.col("meter").cast(pl.String)).rows())
    assert {(rule.provider, rule.model, rule.meter) for rule in corrections().since} <= meters
    keys = set(own.select("provider", "model_key").rows())
    assert {(rule.provider, rule.model) for rule in (*corrections().prices, *corrections().spellings)} <= keys
    patterns = {(rule.provider, model) for rule in corrections().uplifts for model in rule.models}
    assert all(any(p == q and pattern(m).fullmatch(k.lower()) for q, k in keys) for p, m in patterns)


def test_audio_by_the_hour_cannot_be_priced_from_tokens(rated: Any) -> None:
    assert rated(raw_model="whisper-1")["price_reason"] == "missing_usage"


def test_a_bedrock_model_that_costs_the_same_everywhere_has_rows_without_scope() -> None:
    scopes = catalogue().rows.filter(provider="aws").group_by("model_key").agg(pl.col("region_scope").unique())
    by_model = dict(scopes.rows())
    assert by_model["anthropic.claude-3-haiku-20240307-v1:0"] == [None]
    assert set(by_model["moonshotai.kimi-k3"]) == {"in-region", "global", "geo:us", "geo:in"}


def test_price_ids_are_unique() -> None:
    assert catalogue().rows["price_id"].is_unique().all()


def test_costs_are_those_of_the_catalogues_own_calculation(calls: Any, catalogue_book: Any) -> None:
    """At an hour without peak prices, for every model that is sold by the token, below and above every threshold."""
    quantities = {"input_tokens": 1000, "output_tokens": 500}, {"input_tokens": 600_000, "output_tokens": 700}
    usage: list[dict[str, Any]] = []
    expected: list[Decimal] = []
    for provider in providers:
        for model in provider.models:
            prices = model.get_prices(NOON)
            by_token = prices.input_mtok is not None and prices.output_mtok is not None and prices.audio_hours is None
            if provider.id == "aws" or not by_token or provider.find_model(model.id) is not model:
                continue
            for tokens in quantities:
                usage.append({"provider": provider.id, "raw_model": model.id, "event_time": NOON, **tokens})
                theirs = model.calc_price(Usage(**tokens), provider, genai_request_timestamp=NOON).total_price
                expected.append(theirs.quantize(Decimal("1E-12")))
    frame = rate(calls(*usage), catalogue_book, {}).collect()
    assert frame.height > 3000
    assert frame["price_status"].unique().to_list() == ["priced"]
    assert frame["cost"].to_list() == expected
