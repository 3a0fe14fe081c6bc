"""Work ahead of who needs it: in order, bounded, and over when nobody wants it any more."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops_pipeline.mediation.ahead import in_order


def done(result: int) -> Future[int]:
    future: Future[int] = Future()
    future.set_result(result)
    return future


@given(tasks=st.lists(st.integers(0, 9), max_size=50), held=st.integers(1, 30))
def test_results_keep_the_order_of_their_tasks(tasks: list[int], held: int) -> None:
    with ThreadPoolExecutor(3) as pool:
        found = list(in_order(lambda n: pool.submit(lambda: n * n), tasks, held=held, weight=lambda n: n))
    assert found == [n * n for n in tasks]


def test_no_more_is_started_than_is_held() -> None:
    started: list[int] = []

    def start(n: int) -> Future[int]:
        started.append(n)
        return done(n)

    results = in_order(start, iter(range(10**9)), held=10, weight=lambda _: 2)
    assert [next(results), next(results)] == [0, 1]
    assert len(started) == 6  # five weigh ten; the second result made room for one more
    results.close()


def test_what_has_not_begun_is_cancelled_when_nobody_wants_it() -> None:
    futures: list[Future[int]] = [done(0), Future(), Future()]
    results = in_order(lambda n: futures[n], range(3), held=3)
    assert next(results) == 0
    results.close()
    assert [future.cancelled() for future in futures] == [False, True, True]


def test_an_error_ends_the_work() -> None:
    def tasks() -> Iterator[int]:
        yield 1
        yield 0
        raise AssertionError("not asked for any more")

    def start(n: int) -> Future[int]:
        future: Future[int] = Future()
        try:
            future.set_result(1 // n)
        except ZeroDivisionError as error:
            future.set_exception(error)
        return future

    results = in_order(start, tasks(), held=1)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
