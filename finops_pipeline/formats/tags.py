"""Labels of calls as logs write them, to the ``tags`` column: a list of keys and values."""

import msgspec
import polars as pl

from finops_pipeline.distinct import once_each
from finops_pipeline.schemas import TAGS


def tags_of_texts(texts: pl.Expr) -> pl.Expr:
    """Tags from lists of texts ``key:value``; a text without a colon is a key without a value."""
    key = pl.element().str.extract(r"^([^:]+):")
    return texts.list.drop_nulls().list.eval(
        pl.struct(
            pl.coalesce(key, pl.element()).alias("key"),
            pl.element().str.extract(r"(?s)^[^:]+:(.*)$").alias("value"),
        )
    )


def tags_of_json(text: pl.Expr) -> pl.Expr:
    """Tags from JSON texts; null where they are none of these.

    An object ``{key: value}``, a list of ``{"key": …, "value": …}``, or a list of texts ``key:value``. Numbers and
    flags are kept as texts. A value that is an object or a list is null: no label is one, and it may be a prompt.
    """
    return once_each(text, _tags_of_distinct, TAGS)


def _tags_of_distinct(text: pl.Expr) -> pl.Expr:
    return text.map_elements(_tags, return_dtype=TAGS)  # Polars has no type for objects whose keys are not known


def _tags(text: str) -> list[dict[str, str | None]] | None:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if isinstance(value, dict):
        return [{"key": key, "value": _text(part)} for key, part in value.items()]
    return [tag for part in value if (tag := _tag(part))] if isinstance(value, list) else None


def _tag(part: object) -> dict[str, str | None] | None:
    if isinstance(part, dict):
        key = _text(part.get("key"))
        return None if key is None else {"key": key, "value": _text(part.get("value"))}
    if isinstance(part, str) and (split := part.partition(":"))[0] and split[1]:
        return {"key": split[0], "value": split[2]}
    text = _text(part)
    return None if text is None else {"key": text, "value": None}


def _text(value: object) -> str | None:
    if isinstance(value, str) or value is None:
        return value
    return None if isinstance(value, dict | list) else msgspec.json.encode(value).decode()
