"""How often something odd happens to a log line, by counting instead of by chance: small samples have it too."""


class Every:
    """True for the ``first``, then for every ``n``-th call after it."""

    def __init__(self, n: int, first: int) -> None:
        self._n, self._left = n, first

    def __call__(self) -> bool:
        self._left -= 1
        if self._left:
            return False
        self._left = self._n
        return True


GARBAGE = (
    b"upstream connect error or disconnect/reset before headers",
    b'{"timestamp": NaN, ',
    b"\x00\x00\x00\x00",
    b"[]",
)
"""Lines that are no JSON object, each in a way of its own."""
