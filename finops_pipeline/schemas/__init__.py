"""The contract of every table of the lake, a module a table. A frame that does not meet its contract is not written."""

from finops_pipeline.schemas.budget_status import BUDGET_STATUS
from finops_pipeline.schemas.chargeback import CHARGEBACK, chargeback_in
from finops_pipeline.schemas.contract import AMOUNT, COST, INSTANT, RATIO, TOTAL, UNIT_PRICE, Column, Table
from finops_pipeline.schemas.daily_costs import DAILY_COSTS
from finops_pipeline.schemas.fx_rates import FX_RATES
from finops_pipeline.schemas.ingestion import INGEST_OBJECTS, OUTCOMES, QUARANTINE, STRAYS
from finops_pipeline.schemas.price_book import MODEL_ALIASES, MODEL_NAMES, PRICE_BOOK, RATE_ADJUSTMENTS
from finops_pipeline.schemas.priced_usage import PRICED_USAGE
from finops_pipeline.schemas.savings import SAVINGS
from finops_pipeline.schemas.usage import TAGS, TOKEN_CLASSES, TOKEN_PARTS, USAGE

__all__ = [
    "AMOUNT",
    "BUDGET_STATUS",
    "CHARGEBACK",
    "COST",
    "DAILY_COSTS",
    "FX_RATES",
    "INGEST_OBJECTS",
    "INSTANT",
    "MODEL_ALIASES",
    "MODEL_NAMES",
    "OUTCOMES",
    "PRICED_USAGE",
    "PRICE_BOOK",
    "QUARANTINE",
    "RATE_ADJUSTMENTS",
    "RATIO",
    "SAVINGS",
    "STRAYS",
    "TAGS",
    "TOKEN_CLASSES",
    "TOKEN_PARTS",
    "TOTAL",
    "UNIT_PRICE",
    "USAGE",
    "Column",
    "Table",
    "chargeback_in",
]
