"""Where the lake's files lie: a local folder, or a prefix of an S3 bucket. What the files hold is not known here."""

from finops_pipeline.storage.storage import Lease, Storage, Stored, Versioned, open_storage

__all__ = ["Lease", "Storage", "Stored", "Versioned", "open_storage"]
