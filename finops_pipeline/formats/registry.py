"""The format of a source, imported when it is first asked for. Which formats there are stands in ``names``."""

from importlib import import_module

from finops_pipeline.config.model import Source
from finops_pipeline.formats.format import Format
from finops_pipeline.formats.names import FORMATS


def format_of(source: Source) -> Format:
    """The format that a source's logs have."""
    module, _, name = FORMATS[source.format].partition(":")
    declared = getattr(import_module(module), name)
    fmt = declared if isinstance(declared, Format) else declared(source)
    assert isinstance(fmt, Format)
    return fmt
