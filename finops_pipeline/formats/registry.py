"""The formats by their names in the config. A new format is a module of its own and a line here."""

from finops_pipeline.formats.bedrock import BEDROCK
from finops_pipeline.formats.format import Format
from finops_pipeline.formats.litellm import LITELLM
from finops_pipeline.formats.record import RECORD

FORMATS: dict[str, Format] = {fmt.name: fmt for fmt in (BEDROCK, LITELLM, RECORD)}
