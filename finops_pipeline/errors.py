"""The errors that this package raises on purpose.

Each says what is wrong, where (file, key, line or config path) and what to do about it. Whatever else is raised is a
defect of the package.
"""


class FinopsError(Exception):
    """Base of all errors that a user can act on. The command line prints its text and exits with ``exit_code``."""

    exit_code = 1


class ConfigError(FinopsError):
    """The configuration is absent or wrong."""

    exit_code = 2


class SourceError(FinopsError):
    """A source of raw logs cannot be listed or read: wrong bucket, no credentials, no network."""


class MemoryLimitError(FinopsError):
    """Reading needs more memory than ``limits.memory_mb`` allows."""


class LakeError(FinopsError):
    """The lake cannot be read or written."""


class LeaseHeldError(LakeError):
    """Another run is writing the same partition."""


class ContractError(FinopsError):
    """A frame does not meet the contract of the table that it was to be written to."""


class ConservationError(FinopsError):
    """Records were lost or counted twice: nothing is written."""


class IncompleteDayError(FinopsError):
    """A day lacks a configured source, and the run was not allowed to go on without it."""


class PriceBookError(FinopsError):
    """Prices contradict each other, or a price file cannot be read."""

    exit_code = 2


class FxRateError(FinopsError):
    """A rate of exchange is missing, or a file of rates cannot be read."""

    exit_code = 2


class PartitionsFailedError(FinopsError):
    """Some partitions of a range failed; the others are written."""


class DeliveryError(FinopsError):
    """A message has not been delivered; it is not recorded as sent, so a later run tries again."""


class AmbiguousDeliveryError(DeliveryError):
    """A message may have been delivered, and nobody knows: no run sends it again before a person decides."""
