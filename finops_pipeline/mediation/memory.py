"""Memory that is free, back to the operating system, so that one stage's is not added to the next one's."""

import contextlib
import ctypes

import pyarrow as pa


def give_back() -> None:
    """Let allocators return what they hold in reserve; where they cannot, nothing happens."""
    pa.default_memory_pool().release_unused()
    with contextlib.suppress(OSError, AttributeError):  # glibc has it, others have not
        ctypes.CDLL(None).malloc_trim(0)
