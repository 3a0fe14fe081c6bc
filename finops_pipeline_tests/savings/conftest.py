"""The price book of the worked cases, the catalogue's, and a day of calls."""

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from priced_calls import CONTENT, book_of, price_rows, priced

from finops_pipeline.pricing.book import PriceBook
from finops_pipeline.pricing.catalogue import catalogue
from finops_pipeline.savings.calls import COLUMNS, with_workload
from finops_pipeline.schemas import USAGE

Day = Callable[..., pl.LazyFrame]


@pytest.fixture(scope="session")
def case_book() -> PriceBook:
    """The pinned prices of the cases, and no others."""
    return book_of(price_rows(CONTENT["price_book_usd_per_mtok"]))


@pytest.fixture(scope="session")
def catalogue_book() -> PriceBook:
    return PriceBook.from_rows(catalogue().rows, names=catalogue().names)


@pytest.fixture(scope="session")
def day_of(case_book: PriceBook) -> Day:
    """Calls as a lever gets them; columns that usage does not have (scores, flags) are put beside them."""

    def make(*calls: dict[str, Any], book: PriceBook | None = None) -> pl.LazyFrame:
        extra = sorted({name for call in calls for name in call} - set(USAGE.names))
        usage = [{name: value for name, value in call.items() if name not in extra} for call in calls]
        day = with_workload(priced(usage, book or case_book).select(COLUMNS).with_row_index("call"))
        beside = pl.LazyFrame({name: [call.get(name) for call in calls] for name in extra})
        return pl.concat([day, beside], how="horizontal") if extra else day

    return make
