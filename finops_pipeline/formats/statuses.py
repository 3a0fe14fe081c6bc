"""Words and codes for how a call ended, where a log has its own."""

import polars as pl

_ERROR = r"^(error|failure|failed|[45]\d\d)$"


def failed(status: pl.Expr, error_code: pl.Expr) -> pl.Expr:
    """Whether a call failed.

    ``error``, ``failure``, ``failed``, 4xx and 5xx are errors, in any case of letters. Errors cost nothing, so a word
    that is not known is none. Without a status, an error code makes an error.
    """
    word = status.str.strip_chars().str.to_lowercase()
    return pl.coalesce(word.str.contains(_ERROR), error_code.is_not_null())
