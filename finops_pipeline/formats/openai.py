"""OpenAI response bodies that somebody stored, one a line: OpenAI itself delivers no logs.

What a body says stands in ``openai_body``. It has no prompt, so that there is no fingerprint. Bodies without a time of
their own (embeddings) are quarantined: what is stored of them needs the format ``mapped``, or usage pages.
"""

from finops_pipeline.formats.format import Format
from finops_pipeline.formats.openai_body import body_columns, body_fields
from finops_pipeline.mediation.open_layout import OpenLayout

OPENAI = Format(name="openai", version=1, layout=OpenLayout(), fields=body_fields("$"), columns=body_columns)
