"""The configuration: its model, how it is loaded, and the commented example. What the keys do is done elsewhere."""

from finops_pipeline.config.loading import load_config
from finops_pipeline.config.model import Config

__all__ = ["Config", "load_config"]
