from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import History, RestartPolicy, Stopping, Termination
from reconciler.restarts import (
    after_end,
    after_failed_start,
    after_start,
    delay_s,
    history_from_json,
    history_to_json,
    in_boot,
)

START = History("boot", "d")
POLICY = RestartPolicy()


def end(code: int | None = 1, *, lived_s: float = 1.0, stopped: str | None = None) -> Termination:
    asked = Stopping(0.0, 10.0, stopped) if stopped else None
    return Termination("n", "i", "d", code, None, "wait", 5.0, 100.0, lived_s, asked)


def ended(
    history: History, how: Termination, policy: RestartPolicy = POLICY, *, completes: bool = False
) -> History:
    return after_end(history, how, policy, now=100.0, wall=5.0, jitter=0.0, completes=completes)


@pytest.mark.parametrize(
    ("delay", "expected"), [(1.0, [1, 2, 4, 8]), (0.0, [0, 1, 2, 4]), (50.0, [50, 60, 60, 60])]
)
def test_the_wait_doubles_up_to_its_maximum(delay: float, expected: list[float]) -> None:
    assert [delay_s(RestartPolicy(delay_s=delay), n, 0.0) for n in (1, 2, 3, 4)] == expected


def test_a_crash_waits_and_the_restart_is_counted() -> None:
    crashed = ended(START, end())
    assert (crashed.next_start, crashed.next_start_at, crashed.failures) == (101.0, 6.0, 1)
    assert after_start(crashed, "d", "", 101.0).restart_count == 1


def test_two_good_minutes_or_a_new_digest_reset_the_wait() -> None:
    many = replace(START, failures=5)
    assert ended(many, end(lived_s=120)).failures == 1
    assert after_start(many, "other", "", 1.0).failures == 0


def test_exit_78_is_held_and_an_asked_end_counts_nothing() -> None:
    held = ended(START, end(78)).held
    assert held and (held.reason, held.digest) == ("ConfigurationInvalid", "d")
    asked = ended(START, end(0, stopped="DigestChanged"))
    assert replace(asked, terminations=()) == START


def test_a_replacement_for_bad_health_backs_off_like_a_crash() -> None:
    assert ended(START, end(0, stopped="ReportStale")).next_start == 101.0


def test_too_many_restarts_are_given_up() -> None:
    policy = RestartPolicy(max_restarts=2, window_s=0.0)
    history = START
    for _ in range(2):
        history = after_start(ended(history, end(), policy), "d", "", 101.0)
    held = ended(history, end(), policy).held
    assert held and held.reason == "RestartLimit"


def test_only_a_program_that_may_complete_completes() -> None:
    policy = RestartPolicy(policy="on-failure")
    assert ended(START, end(0), policy, completes=True).completed == "d"
    assert ended(START, end(0), policy).next_start == 101.0


def test_another_boot_voids_times_and_keeps_counts() -> None:
    history = in_boot(replace(ended(START, end()), restart_count=3), "other")
    assert (history.next_start, history.failures, history.restart_count) == (0.0, 0, 3)
    assert after_start(history, "d", "", 1.0).restart_count == 3


@given(st.lists(st.sampled_from([0, 1, 75, 78, None]), max_size=30))
def test_a_history_survives_its_file(codes: list[int | None]) -> None:
    history = START
    for code in codes:
        history = ended(after_start(history, "d", "", 1.0), end(code))
    plain = json.loads(json.dumps(history_to_json(history)))
    assert history_from_json({**plain, "newer": 1}) == history
    assert len(history.terminations) <= 20


@pytest.mark.parametrize(
    "wrong", [None, [], {"terminations": 3}, {"held": "x"}, {"failures": "1"}, {"next_start": "x"}]
)
def test_a_wrong_shape_is_a_value_error(wrong: object) -> None:
    with pytest.raises(ValueError, match="not a history"):
        history_from_json(wrong)


def test_what_leaves_children_behind_backs_off_and_is_held_like_any_other() -> None:
    assert ended(START, end(1, stopped="LeaderDead")).next_start == 101.0
    assert ended(START, end(78, stopped="LeaderDead")).held


def test_a_hold_knows_what_was_referred_to_at_the_start() -> None:
    started = after_start(START, "d", "then", 1.0)
    held = ended(started, end(78)).held
    assert held and held.fingerprint == "then"


@pytest.mark.parametrize("hold", [True, False])
def test_starts_that_fail_for_good_are_held_with_what_they_referred_to(hold: bool) -> None:
    policy = RestartPolicy(max_restarts=1, window_s=0.0)
    tried = replace(START, restarts=() if hold else (1.0,))
    failed = after_failed_start(tried, "d", "now", "m", policy, now=2.0, wall=2.0, jitter=0.0, hold=hold)
    assert failed.held and failed.held.fingerprint == "now"


def test_going_down_with_the_machine_is_no_failure() -> None:
    history = ended(START, replace(end(None), earlier_boot=True), RestartPolicy(policy="never"))
    assert (history.held, history.failures, history.next_start) == (None, 0, 100.0)
