"""Words and codes of logs for how a call ended, and for how well it is known what it used."""

import polars as pl

_ERROR = r"^(error|failure|failed|[45]\d\d)$"
_QUALITIES = ("reported", "estimated", "missing")


def status_of(failed: pl.Expr | str) -> pl.Expr:
    """The ``status`` of a call that failed, or did not; unknown is ok, and charged."""
    return pl.when(failed).then(pl.lit("error")).otherwise(pl.lit("ok"))


def failed(status: pl.Expr, error_code: pl.Expr) -> pl.Expr:
    """Whether a call failed.

    ``error``, ``failure``, ``failed``, 4xx and 5xx are errors, in any case of letters. Errors cost nothing, so a word
    that is not known is none. Without a status, an error code makes an error.
    """
    word = status.str.strip_chars().str.to_lowercase()
    return pl.coalesce(word.str.contains(_ERROR), error_code.is_not_null())


def quality_of(word: pl.Expr) -> pl.Expr:
    """The ``usage_quality`` that a log says, in any case of letters; null where it is none."""
    said = word.str.strip_chars().str.to_lowercase()
    return pl.when(said.is_in(_QUALITIES)).then(said)
