"""Table contracts: a frame that does not meet its contract is refused, with every difference named."""

import polars as pl
import pytest

from finops_pipeline import schemas
from finops_pipeline.errors import ContractError
from finops_pipeline.schemas import COST, PRICED_USAGE, USAGE, Column, Table
from finops_pipeline.schemas.priced_usage import COST_GROUPS

CALLS = Table(
    name="calls",
    version=1,
    meaning="A small table.",
    partition_keys=("date",),
    columns=(Column("id", pl.String, "Key", False), Column("tokens", pl.Int64, "Tokens"), Column("cost", COST, "USD")),
)
TABLES = [value for name in schemas.__all__ if isinstance(value := getattr(schemas, name), Table)]


def frame(**columns: pl.Series) -> pl.DataFrame:
    """One row that meets the contract, with ``columns`` in place of its own or beside them."""
    return CALLS.empty().clear(1).with_columns(id=pl.Series(["a"])).with_columns(**columns)


def test_a_frame_that_meets_the_contract_comes_back_as_it_is() -> None:
    good = frame()
    assert CALLS.check(good) is good


def test_an_empty_frame_meets_the_contract() -> None:
    assert CALLS.check(CALLS.empty()).height == 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (frame().drop("tokens"), "column tokens is missing"),
        (frame(team=pl.Series(["x"])), "column team is not in the contract"),
        (frame(tokens=pl.Series([1], dtype=pl.Int32)), "column tokens is Int32, the contract says Int64"),
        (frame(cost=pl.Series([1.0])), "column cost is Float64, the contract says Decimal(precision=18, scale=12)"),
        (frame().select("cost", "tokens", "id"), "columns are in another order"),
        (frame(id=pl.Series([None], dtype=pl.String)), "null in id, which the contract does not allow"),
    ],
)
def test_what_does_not_meet_the_contract_is_named(wrong: pl.DataFrame, said: str) -> None:
    with pytest.raises(ContractError) as caught:
        CALLS.check(wrong)
    assert str(caught.value) == f"calls: {said}"


def test_all_differences_are_named_at_once() -> None:
    with pytest.raises(ContractError, match=r"column id is missing; column tokens is Int8, .*; column x is not in"):
        CALLS.check(frame(tokens=pl.Series([1], dtype=pl.Int8), x=pl.Series([1])).drop("id"))


def test_null_is_allowed_where_the_contract_says_so() -> None:
    assert CALLS.check(frame()).get_column("tokens").to_list() == [None]


def test_conform_brings_columns_into_order_fills_with_null_and_drops_the_rest() -> None:
    other = pl.LazyFrame({"tokens": [1], "id": ["a"], "x": [0]})
    conformed = CALLS.conform(other).collect()
    assert CALLS.check(conformed).rows() == [("a", 1, None)]


def test_conform_hides_no_wrong_type() -> None:
    with pytest.raises(ContractError, match="column tokens is String"):
        CALLS.check(CALLS.conform(pl.LazyFrame({"id": ["a"], "tokens": ["1"]})).collect())


# -- the tables themselves --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.name)
def test_no_column_is_also_a_partition_key(table: Table) -> None:
    assert set(table.names).isdisjoint(table.partition_keys)
    assert len(set(table.names)) == len(table.names)


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.name)
def test_every_column_says_what_it_means(table: Table) -> None:
    assert table.meaning
    assert [c.name for c in table.columns if not c.meaning] == []


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.name)
def test_nothing_but_measured_times_is_a_float(table: Table) -> None:
    floats = {c.name for c in table.columns if c.dtype in (pl.Float64, pl.Float32)}
    assert floats <= {"latency_ms", "first_token_ms"}


def test_table_names_are_unique() -> None:
    names = [table.name for table in TABLES]
    assert len(set(names)) == len(names)


def test_priced_usage_keeps_every_column_of_usage() -> None:
    assert set(USAGE.names) < set(PRICED_USAGE.names)
    assert set(COST_GROUPS) < set(PRICED_USAGE.names)
