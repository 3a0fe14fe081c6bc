"""What Dagster loads: one explicit ``Definitions`` from the config. There is no logic here.

The config is the file that ``FINOPS_CONFIG`` names, else ``./finops.yaml``.
"""

from finops_pipeline.config.loading import load_config
from finops_pipeline.orchestration.code_location import build_definitions
from finops_pipeline.orchestration.session import Session

defs = build_definitions(Session(load_config()))
