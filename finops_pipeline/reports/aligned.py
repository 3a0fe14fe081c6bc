"""Tables in plain text: aligned columns, figures to the right."""

from collections.abc import Sequence

from finops_pipeline.reports import numbers

NAME = 22
"""Widest column of names; what does not fit is cut."""


def text_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, names: int = 1, total: bool = False, longest: int = NAME
) -> str:
    """``rows`` under ``header``: the first ``names`` columns to the left, the others to the right.

    Args:
        header: Titles of the columns.
        rows: Cells, as many as titles.
        names: Columns of names.
        total: The last row is a total: under a rule and over a double one.
        longest: Columns that a name may take.
    """
    cells = [[_cut(cell, longest) if n < names else cell for n, cell in enumerate(row)] for row in [header, *rows]]
    widths = [max(map(numbers.width, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(_padded(cell, width, right=n >= names) for n, (cell, width) in columns)
        for columns in (enumerate(zip(row, widths, strict=True)) for row in cells)
    ]
    rule = sum(widths) + 2 * (len(widths) - 1)
    if total:
        above = ["-" * rule] if len(lines) > 2 else []
        lines = [*lines[:-1], *above, lines[-1], "=" * rule]
    return "\n".join(line.rstrip() for line in [lines[0], "-" * rule, *lines[1:]])


def text_columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows of what, how much and in which terms: figures to the right, the last column as it is."""
    widths = [max(map(numbers.width, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        f"{_padded(what, widths[0], right=False)}  {_padded(figure, widths[1], right=True)}  {terms}".rstrip()
        for what, figure, terms in rows
    )


def _cut(cell: str, longest: int) -> str:
    """As much of a name as its column has room for."""
    if numbers.width(cell) <= longest:
        return cell
    kept = cell[:longest]
    while numbers.width(kept) > longest - 1:
        kept = kept[:-1]
    return f"{kept}…{numbers.LEFT_TO_RIGHT if cell.endswith(numbers.LEFT_TO_RIGHT) else ''}"


def _padded(cell: str, width: int, *, right: bool) -> str:
    space = " " * (width - numbers.width(cell))
    return space + cell if right else cell + space
