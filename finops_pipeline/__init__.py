"""AI FinOps as a batch pipeline: raw LLM usage logs in, exact costs and monthly chargeback statements out."""

__version__ = "0.1.0"
