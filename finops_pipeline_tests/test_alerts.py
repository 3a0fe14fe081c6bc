"""Alerts: each crossing is told once, whatever is run, in whatever order and however often."""

import datetime as dt
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_pipeline.alerts import Alert, AlertState, Evaluation, alerts_of, crossings, due_now, evaluate, recipients_of
from finops_pipeline.budgets import run_rate, scope_text
from finops_pipeline.config.model import Budget, Config
from finops_pipeline.days import ONE_DAY, days_of
from finops_pipeline.delivery.ledger import checked_key
from finops_pipeline.errors import LakeError
from finops_pipeline.lake import Lake
from finops_pipeline.schemas import BUDGET_STATUS

CASES = json.loads((Path(__file__).parent / "cases" / "savings_cases.json").read_text())["cases"]
C21 = next(case for case in CASES if case["id"] == "C21")

NOVEMBER = days_of("2026-11")
NANO = Decimal("0.000000001")

Days = Mapping[int, object]
"""USD spent up to a day's end, by day of November 2026."""


def budget(
    limit: object = 1000, *, name: str = "search", at: Sequence[str] = ("0.8", "1"), forecast: Sequence[str] = ()
) -> Budget:
    """A team's budget that tells of these shares of actual spend, and of these of the forecast."""
    return Budget(
        name=name,
        scope={"team": name},
        limit=Decimal(str(limit)),
        warn_at=[Decimal(share) for share in at],
        warn_at_forecast=[Decimal(share) for share in forecast],
    )


def status(spent: Days, of: Budget | None = None, *, forecasts: Days | None = None) -> pl.DataFrame:
    """``budget_status`` of these days, forecast by run rate from the third on unless ``forecasts`` says otherwise."""
    of = of or budget()
    return pl.DataFrame(
        [
            {
                "date": NOVEMBER[day - 1],
                "budget": of.name,
                "scope": scope_text(of),
                "limit": of.limit,
                "spent": Decimal(str(total)),
                "forecast": _forecast(day, Decimal(str(total)), forecasts),
            }
            for day, total in spent.items()
        ],
        schema={**BUDGET_STATUS.schema, "date": pl.Date},
    )


def _forecast(day: int, total: Decimal, forecasts: Days | None) -> Decimal | None:
    if forecasts is not None:
        return Decimal(str(forecasts[day])) if day in forecasts else None
    return run_rate(total, day, len(NOVEMBER)) if day >= 3 else None


def said(alerts: Sequence[Alert]) -> list[tuple[str, str, str, int]]:
    """Budget, kind, threshold in per cent, day of the month."""
    return [(a.budget, a.kind, f"{a.threshold * 100:.0f}", a.day.day) for a in alerts]


Look = Callable[..., Evaluation]


@pytest.fixture
def look(lake: Lake) -> Look:
    """``look(status, budget, …, on=day)``: evaluate on the day after that one, unless ``as_of`` says otherwise."""

    def evaluated(
        rows: pl.DataFrame, *budgets: Budget, on: int, as_of: dt.date | None = None, to: Sequence[str] = ("f@x.org",)
    ) -> Evaluation:
        return evaluate(
            lake,
            budgets or [budget()],
            rows,
            as_of=as_of or NOVEMBER[on - 1] + ONE_DAY,
            late_days=3,
            recipients=lambda _: list(to),
        )

    return evaluated


def state_of(lake: Lake, threshold: str = "0.8", kind: str = "actual") -> AlertState:
    (state,) = (
        s for s in alerts_of(lake, "2026-11") if (s.alert.threshold, s.alert.kind) == (Decimal(threshold), kind)
    )
    return state


# -- the case ---------------------------------------------------------------------------------------------------------


def test_the_case_night_after_night_and_once_more(look: Look) -> None:
    inputs = C21["inputs"]
    mtd = dict(inputs["mtd"])
    actual, forecast = (
        [str(Decimal(share) / 100) for share in shares]
        for shares in (inputs["thresholds_actual"], [inputs["forecast_threshold"]])
    )
    watched = budget(inputs["limit"], at=actual, forecast=forecast)
    for expected in C21["expected"]["timeline"]:
        so_far = {day: total for day, total in mtd.items() if day <= expected["day"]}
        found = look(status(so_far, watched), watched, on=expected["day"])
        for kind in ("actual", "forecast"):
            told = [int(a.threshold * 100) for a in found.opened if a.kind == kind]
            assert told == expected[f"{kind}_alerts"], (expected["day"], kind)
        assert [alert for alert, _ in found.due if alert in found.opened] == found.opened
    for day in mtd:
        again = look(status(mtd, watched), watched, on=day)
        assert len(again.opened) + len(again.retracted) == C21["expected"]["rerun_all_days_new_alerts"] == 0


# -- crossings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spent", "reached"),
    [
        (Decimal(800) - NANO, []),
        (Decimal("799.999999999999"), []),
        (Decimal(800), ["80"]),
        (Decimal(1000) - NANO, ["80"]),
        (Decimal(1000), ["80", "100"]),
    ],
)
def test_thresholds_are_inclusive_and_exact(spent: Decimal, reached: list[str]) -> None:
    assert [share for _, _, share, _ in said(crossings(status({5: spent}), [budget()]))] == reached


def test_a_forecast_s_threshold_is_inclusive_and_exact() -> None:
    watched = budget(forecast=["1"])
    for forecast, reached in ((Decimal(1000) - NANO, 0), (Decimal(1000), 1)):
        assert len(crossings(status({5: 1}, watched, forecasts={5: forecast}), [watched])) == reached


def test_the_first_day_on_which_it_held_counts_whatever_the_order_of_the_rows() -> None:
    rows = status({9: 850, 7: 799, 10: 900, 8: 800})
    (alert,) = crossings(rows, [budget()])
    assert (alert.day, alert.spent, alert.forecast) == (NOVEMBER[7], 800, Decimal(3000))
    assert (alert.period, alert.team, alert.scope, alert.limit) == ("2026-11", "search", (("team", "search"),), 1000)


def test_actual_spend_must_still_be_there_on_the_latest_day() -> None:
    assert crossings(status({5: 900, 6: 700}), [budget()]) == []


def test_a_forecast_holds_until_two_days_in_a_row_are_under_95_per_cent_of_its_threshold() -> None:
    watched = budget(forecast=["1"])

    def holds(*forecasts: object) -> bool:
        days = dict(enumerate(forecasts, start=3))
        return bool(crossings(status(dict.fromkeys(days, 1), watched, forecasts=days), [watched]))

    assert holds(1000, 949)
    assert holds(1000, 949, 950, 949)
    assert holds(1000, 949, 951, 999)
    assert not holds(1000, 949, Decimal(950) - NANO)
    assert not holds(1000, 949, 949, 999)
    assert holds(1000, 949, 949, 999, 1000)
    assert not holds(949, 949, 999)


def test_without_a_forecast_nothing_is_told_of_it() -> None:
    watched = budget(at=[], forecast=["1"])
    assert crossings(status({1: 500, 2: 999}, watched), [watched]) == []


def test_the_config_s_limit_counts_for_all_days_and_its_scope_for_its_own() -> None:
    rows = status({5: 500, 6: 600}, budget(1000))
    assert said(crossings(rows, [budget(600, at=["1"])])) == [("search", "actual", "100", 6)]
    elsewhere = Budget(name="search", scope={"project": "search"}, limit=Decimal(1))
    assert crossings(rows, [elsewhere]) == []


def test_budgets_are_told_apart() -> None:
    rows = pl.concat([status({5: 800}), status({5: 1000}, budget(name="chat"))])
    found = crossings(rows, [budget(name="chat", at=["1"]), budget(), budget(name="new")])
    assert said(found) == [("chat", "actual", "100", 5), ("search", "actual", "80", 5)]


# -- once -------------------------------------------------------------------------------------------------------------


def test_two_thresholds_in_one_jump_are_one_mail(look: Look, lake: Lake) -> None:
    found = look(status({4: 100, 5: 1100}), on=5)
    assert said(found.opened) == [("search", "actual", "80", 5), ("search", "actual", "100", 5)]
    assert said([alert for alert, _ in found.due]) == [("search", "actual", "100", 5)]
    assert (state_of(lake, "0.8").mail, state_of(lake, "1").mail) == ("superseded", "due")


def test_a_higher_threshold_of_another_budget_takes_nobody_s_mail(look: Look) -> None:
    chat = budget(name="chat", at=["1"])
    found = look(pl.concat([status({5: 800}), status({5: 1000}, chat)]), budget(), chat, on=5)
    assert [alert for alert, _ in found.due] == found.opened
    assert len(found.opened) == 2


def test_actual_and_forecast_are_told_each(look: Look) -> None:
    watched = budget(at=["1"], forecast=["1", "1.5"])
    found = look(status({4: 1000}, watched), watched, on=4)
    assert said([alert for alert, _ in found.due]) == [("search", "actual", "100", 4), ("search", "forecast", "150", 4)]


def test_a_mail_stays_due_until_the_ledger_of_deliveries_says_it_left(look: Look) -> None:
    first = look(status({5: 800}), on=5)
    later = look(status({5: 800, 6: 801}), on=6)
    assert later.opened == []
    assert later.due == first.due == [(first.opened[0], ["f@x.org"])]


def test_a_rerun_writes_nothing(look: Look, lake: Lake) -> None:
    look(status({5: 800}), on=5)
    before = {path: path.stat().st_mtime_ns for path in Path(lake.storage.root).rglob("*.json")}
    assert look(status({5: 800}), on=5).changed == []
    assert {path: path.stat().st_mtime_ns for path in Path(lake.storage.root).rglob("*.json")} == before


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 200), min_size=6, max_size=12),
    st.lists(st.tuples(st.integers(1, 12), st.integers(0, 40)), max_size=8),
)
def test_days_in_any_order_and_any_number_of_times_open_each_alert_at_most_once(
    daily: list[int], runs: list[tuple[int, int]]
) -> None:
    totals = {day: sum(daily[:day]) for day in range(1, len(daily) + 1)}
    watched = budget(at=["0.5", "0.8", "1"])
    run, opened, mailed = {}, [], set()
    with TemporaryDirectory() as folder:
        for day, age in [*runs, *((day, 1) for day in totals), *runs]:
            if day not in totals:
                continue
            run[day] = totals[day]
            found = evaluate(
                Lake(Path(folder) / "lake"),
                [watched],
                status(run, watched),
                as_of=NOVEMBER[day - 1] + age * ONE_DAY,
                late_days=3,
                recipients=lambda _: ["f@x.org"],
            )
            opened += [alert.key for alert in found.opened]
            mailed |= {alert.threshold for alert, _ in found.due}
            assert found.retracted == []
        states = alerts_of(Lake(Path(folder) / "lake"), "2026-11")
    assert len(opened) == len(set(opened))
    reached = {share for share in watched.warn_at if sum(daily) >= 1000 * share}
    assert {state.alert.threshold for state in states} == reached
    assert mailed == {state.alert.threshold for state in states if state.mail == "due"}


def test_of_runs_at_once_one_opens_the_alert(root: Path | str) -> None:
    racers, watched = 6, budget(at=["0.8"])
    together = threading.Barrier(racers)

    def run(_: int) -> Evaluation:
        together.wait()
        spent, today = status({1: 900}, watched), NOVEMBER[1]
        return evaluate(Lake(root), [watched], spent, as_of=today, late_days=3, recipients=lambda _: ["f@x.org"])

    with ThreadPoolExecutor(racers) as pool:
        found = list(pool.map(run, range(racers)))
    assert sorted(len(each.opened) for each in found) == [0] * (racers - 1) + [1]
    assert all(len(each.due) == 1 for each in found)
    assert [state.state for state in alerts_of(Lake(root), "2026-11")] == ["open"]


# -- late -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("as_of", "mail"),
    [
        (NOVEMBER[10], "due"),  # the night after
        (NOVEMBER[13], "due"),  # yesterday was the 13th, three late days before it the 10th
        (NOVEMBER[14], "silent"),  # no nightly run looks at the 10th any more
        (dt.date(2027, 5, 1), "silent"),
    ],
)
def test_a_day_that_no_nightly_run_looks_at_any_more_opens_silently(
    look: Look, lake: Lake, as_of: dt.date, mail: str
) -> None:
    found = look(status({10: 800, 11: 800}), on=10, as_of=as_of)
    assert (len(found.opened), len(found.due)) == (1, int(mail == "due"))
    assert state_of(lake).mail == mail
    assert state_of(lake).opened_as_of == as_of


def test_what_opened_silently_stays_silent(look: Look) -> None:
    look(status({10: 800}), on=10, as_of=NOVEMBER[20])
    for as_of in (NOVEMBER[10], NOVEMBER[20], NOVEMBER[25]):
        assert look(status({10: 800}), on=10, as_of=as_of).due == []


def test_an_old_threshold_is_silent_beside_one_that_is_news(look: Look, lake: Lake) -> None:
    found = look(status({3: 850, 19: 1000}), on=19)
    assert said([alert for alert, _ in found.due]) == [("search", "actual", "100", 19)]
    assert state_of(lake, "0.8").mail == "silent"


# -- restated ---------------------------------------------------------------------------------------------------------


def test_a_restatement_takes_an_alert_back_and_another_gives_it_again_without_a_second_mail(
    look: Look, lake: Lake
) -> None:
    (alert,) = look(status({5: 800}), on=5).opened
    back = look(status({5: 790}), on=5)
    assert (back.retracted, back.opened, back.due) == ([alert], [], [])
    assert state_of(lake).state == "retracted"
    assert look(status({5: 790}), on=5) == Evaluation()
    again = look(status({5: 790, 6: 900}), on=6)
    assert (again.opened, again.retracted) == ([], [])
    assert [due.key for due, _ in again.due] == [alert.key]  # the same key, which the ledger knows
    assert again.due[0][0] == alert
    assert state_of(lake).state == "open"


def test_what_nobody_was_told_of_is_new_when_it_is_reached_again(look: Look) -> None:
    look(status({3: 800}), on=3, as_of=NOVEMBER[19])
    look(status({3: 10}), on=3, as_of=NOVEMBER[19])
    found = look(status({3: 10, 20: 800}), on=20)
    assert said([alert for alert, _ in found.due]) == said(found.opened) == [("search", "actual", "80", 20)]


def test_a_forecast_s_alert_closes_after_two_low_days(look: Look, lake: Lake) -> None:
    watched = budget(at=[], forecast=["1"])

    def night(**forecasts: int) -> Evaluation:
        days = {int(day[1:]): value for day, value in forecasts.items()}
        return look(status(dict.fromkeys(days, 1), watched, forecasts=days), watched, on=max(days))

    assert len(night(d9=1000).opened) == 1
    assert night(d9=1000, d10=900).retracted == []
    assert len(night(d9=1000, d10=900, d11=900).retracted) == 1
    assert night(d9=1000, d10=900, d11=900, d12=980).changed == []
    assert night(d9=1000, d10=900, d11=900, d12=980, d13=1001).opened == []
    assert state_of(lake, "1", "forecast").state == "open"


def test_a_forecast_that_never_was_by_today_s_numbers_still_needs_two_low_days(look: Look) -> None:
    watched = budget(at=[], forecast=["1"])

    def restated(*forecasts: int) -> Evaluation:
        days = dict(enumerate(forecasts, start=9))
        return look(status(dict.fromkeys(days, 1), watched, forecasts=days), watched, on=max(days))

    assert len(restated(1000).opened) == 1
    assert restated(970).retracted == []
    assert restated(900, 900).retracted == []
    assert len(restated(900, 900, 900).retracted) == 1


# -- the config changes -----------------------------------------------------------------------------------------------


def test_a_changed_limit_is_told_anew(look: Look, lake: Lake) -> None:
    look(status({5: 800}), on=5)
    raised = budget(1050)
    found = look(status({5: 800, 6: 840}), raised, on=6)
    assert [(alert.limit, alert.day) for alert in found.opened] == [(1050, NOVEMBER[5])]
    assert [alert.limit for alert, _ in found.due] == [1050]
    assert {(s.alert.limit, s.state) for s in alerts_of(lake, "2026-11")} == {(1000, "open"), (1050, "open")}


def test_the_same_number_written_otherwise_is_the_same_alert(look: Look) -> None:
    look(status({5: 800}), budget("1000", at=["0.8"]), on=5)
    assert look(status({5: 800}), budget("1000.00", at=["0.80"]), on=5).opened == []


def test_alerts_of_a_removed_budget_stay_as_they_are_and_are_not_mailed(look: Look, lake: Lake) -> None:
    look(status({5: 800}), on=5)
    before = alerts_of(lake, "2026-11")
    found = look(status({5: 800}), budget(name="chat"), on=5)
    assert (found.changed, found.due) == ([], [])
    assert alerts_of(lake, "2026-11") == before


def test_whoever_joins_later_is_not_told_of_old_alerts_and_whoever_leaves_neither(look: Look) -> None:
    rows = status({5: 800})

    def told(day: int, *to: str) -> list[str]:
        return [address for _, addresses in look(rows, on=day, to=to).due for address in addresses]

    assert told(5, "a@x.org", "typo@x.org") == ["a@x.org", "typo@x.org"]
    assert told(7, "a@x.org", "mended@x.org") == ["a@x.org", "mended@x.org"]
    assert told(20, "a@x.org", "mended@x.org", "new@x.org") == ["a@x.org", "mended@x.org"]
    assert told(20, "mended@x.org", "new@x.org") == ["mended@x.org"]
    assert told(20, "new@x.org") == []


def test_team_and_finance_are_told_each_address_once(config: Callable[..., Config]) -> None:
    made = config(
        extra={
            "teams": {"a": {"email": "a@x.org"}, "b": {}, "c": {"email": "f@x.org"}},
            "reports": {"recipients": ["f@x.org", "g@x.org"]},
        }
    )

    def of(**scope: str) -> list[str]:
        return recipients_of(Budget(name="n", scope=scope, limit=Decimal(1)), made)

    assert of(team="a", model="m") == ["a@x.org", "f@x.org", "g@x.org"]
    assert of(team="b") == of(team="unknown") == of(project="a") == of() == ["f@x.org", "g@x.org"]
    assert of(team="c") == ["f@x.org", "g@x.org"]


# -- the store --------------------------------------------------------------------------------------------------------


def test_a_state_reads_back_as_it_was_written(look: Look, lake: Lake) -> None:
    watched = budget("1234.56", at=["0.333333333333"], forecast=["1"])
    found = look(status({4: "411.519999999999"}, watched), watched, on=4)
    assert sorted(found.changed, key=str) == sorted(alerts_of(lake, "2026-11"), key=str)
    for state in found.changed:
        assert lake.storage.read(f"alerts/month=2026-11/{state.alert.key}.json")


@pytest.mark.parametrize("name", ["../../etc/passwd", "a\nBcc: x@y.org", "{{ 7*7 }}", "=1+1", "ü" * 300, ".", "a b"])
def test_a_key_is_fit_for_a_file_name_and_the_ledger(look: Look, lake: Lake, name: str) -> None:
    watched = budget(name=name)
    (alert,) = look(status({5: 800}, watched), watched, on=5).opened
    assert checked_key(alert.key) == alert.key
    assert [path.name for path in Path(lake.storage.place("alerts")).rglob("*.json")] == [f"{alert.key}.json"]
    assert state_of(lake).alert.budget == name


def test_names_that_look_alike_in_a_file_name_are_two_alerts(look: Look) -> None:
    one, two = budget(name="a b"), budget(name="a/b")
    found = look(pl.concat([status({5: 800}, one), status({5: 800}, two)]), one, two, on=5)
    assert len({alert.key for alert in found.opened}) == 2


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"alert": 1}', b"\xff\xfe"])
def test_a_damaged_state_is_named_with_the_way_out(look: Look, lake: Lake, content: bytes) -> None:
    look(status({5: 800}), on=5)
    (file,) = Path(lake.storage.root).rglob("alerts/*/*.json")
    file.write_bytes(content)
    with pytest.raises(LakeError, match=r"Delete it and run any day of its month again") as raised:
        look(status({5: 800}), on=5)
    assert str(file) in str(raised.value)
    file.unlink()
    assert len(look(status({5: 800}), on=5).opened) == 1


def test_months_are_kept_apart_and_not_mixed(look: Look, lake: Lake) -> None:
    october = status({5: 800}).with_columns(date=pl.lit(dt.date(2026, 10, 5)))
    look(status({5: 800}), on=5)
    look(october, on=5, as_of=dt.date(2026, 10, 6))
    assert [len(alerts_of(lake, month)) for month in ("2026-09", "2026-10", "2026-11")] == [0, 1, 1]
    with pytest.raises(ValueError, match="2026-10, 2026-11"):
        look(pl.concat([october, status({5: 800})]), on=5)


def test_nothing_to_look_at_is_nothing_found(look: Look, lake: Lake) -> None:
    assert look(status({}), on=5) == Evaluation()
    assert not Path(lake.storage.root).exists()


def test_a_look_ahead_writes_nothing(look: Look, lake: Lake) -> None:
    def ahead(rows: pl.DataFrame) -> list[tuple[Alert, list[str]]]:
        to: dict[str, Any] = {"as_of": NOVEMBER[5], "late_days": 3, "recipients": lambda _: ["f@x.org"]}
        return due_now(lake, [budget()], rows, **to)

    rows = status({5: 800})
    assert ahead(status({})) == []
    seen = ahead(rows)
    assert not Path(lake.storage.root).exists()
    assert seen == look(rows, on=5).due == ahead(rows)


def test_runs_that_meet_open_an_alert_once(lake: Lake) -> None:
    rows, opened, gate = status({5: 1000}), [], threading.Barrier(6)

    def run() -> None:
        gate.wait(timeout=30)
        found = evaluate(lake, [budget()], rows, as_of=NOVEMBER[5], late_days=3, recipients=lambda _: ["f@x.org"])
        opened.extend(alert.key for alert in found.opened)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(opened) == len(set(opened)) == 2


# -- other thresholds than the usual ones, and other late days ---------------------------------------------------------


def test_a_budget_that_is_told_of_at_50_and_90_says_nothing_at_80(look: Look) -> None:
    of = budget(at=("0.5", "0.9", "1"))
    spent: Days = {1: "499.999999999999", 2: 500, 3: 800, 4: "899.999999999999", 5: 900, 6: 1000}
    opened = [
        found
        for day in spent
        for found in said(look(status({n: spent[n] for n in spent if n <= day}, of), of, on=day).opened)
    ]
    assert [(threshold, day) for _, _, threshold, day in opened] == [("50", 2), ("90", 5), ("100", 6)]


@pytest.mark.parametrize(("night", "mails"), [(1, 1), (2, 0)])
def test_without_late_days_only_yesterday_is_news(night: int, mails: int, lake: Lake) -> None:
    found = evaluate(
        lake,
        [budget()],
        status({29: 0, 30: 900}),  # the month's last day, looked at in a night of the next month
        as_of=dt.date(2026, 12, night),
        late_days=0,
        recipients=lambda _: ["f@x.org"],
    )
    assert (len(found.opened), len(found.due)) == (1, mails)
