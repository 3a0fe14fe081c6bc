"""Work that is done some way ahead of who needs it, in order and within bounds."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_order(
    start: Callable[[T], Future[R]], tasks: Iterable[T], *, held: int, weight: Callable[[T], int] = lambda _: 1
) -> Iterator[R]:
    """The results of tasks in their order, as many tasks started ahead as weigh ``held`` together.

    Tasks are taken one at a time as there is room, so that a million of them are never in memory at once. Whoever
    stops early, or meets an error, leaves nothing to do but the tasks under way.
    """
    waiting: deque[tuple[Future[R], int]] = deque()
    weighing = 0
    try:
        for task in tasks:
            waiting.append((start(task), weight(task)))
            weighing += waiting[-1][1]
            while weighing >= held:
                result, its_weight = waiting.popleft()
                yield result.result()
                weighing -= its_weight
        while waiting:
            yield waiting.popleft()[0].result()
    finally:
        for result, _ in waiting:
            result.cancel()
