"""What a transformed call would have cost: the one place where savings meet the price book.

Prices are ``pricing.rating``'s, by the same rules as those that were charged: contracted, at the call's own time,
null where the book has none.
"""

import polars as pl

from finops_pipeline.pricing.book import PriceBook
from finops_pipeline.pricing.rating import rate
from finops_pipeline.savings.calls import RATED
from finops_pipeline.schemas import COST


def repriced(calls: pl.LazyFrame, book: PriceBook) -> pl.LazyFrame:
    """``call``, ``variant`` and ``repriced`` of transformed calls: contracted USD, null where the book has no price.

    Args:
        calls: ``call`` (which one it was), ``variant`` (what was made of it) and the columns ``savings.calls.RATED``.
        book: The price book that the calls were charged by.
    """
    usage = calls.select("call", "variant", *RATED, source=pl.lit(""), reported_cost=pl.lit(None, dtype=COST))
    return rate(usage, book, {}).select("call", "variant", repriced="contracted_cost")
