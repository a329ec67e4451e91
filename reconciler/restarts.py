"""What an end, a start or another boot does to the history of a name.

A crash, exit 75 and a replacement for bad health are failures: each doubles the wait until the next start,
from `delay` to `maxDelay`, ±10 %. Two minutes of life or a new digest reset that. Exit 78 is held. An end
that was asked for counts nothing. ``delay: 0s`` starts again at once the first time, then after 1 s, 2 s ….
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from typing import Any

from collectors.contract import EXIT_CONFIG, EXIT_STOPPED
from reconciler.model import Desired, Held, History, Observed, Plan, RestartPolicy, Stopping, Termination
from reconciler.prune import TOGETHER_S

GOOD_LIFE_S = 120.0
JITTER = 0.1
KEPT_TERMINATIONS = 20
REPLACED = frozenset({"ReportStale", "StartTimeout", "MemoryLimit", "LogSilent"})
"""Reasons of stops that are failures of the process, not wishes of a person."""
LET_GO = frozenset({"Removed", "NotSelected"})
"""Reasons of stops because no manifest asks for the name here any more."""
LED_NO_MORE = "LeaderDead"
"""The stop of what a process left behind when it ended by itself."""
LAST_ERROR_BYTES = 1024


def in_boot(history: History, boot_id: str) -> History:
    """The history as it counts in this boot: failures of another are void, what was due or completed starts now."""
    if history.boot_id == boot_id:
        return history
    return replace(
        history,
        boot_id=boot_id,
        failures=0,
        restarts=(),
        next_start=None if history.next_start is None else 0.0,
        next_start_at=None,
        completed=None,
        removed_at=None,
    )


def after_start(history: History, digest: str, fingerprint: str, now: float) -> History:
    """A start was made. It is an automatic restart where the same digest had failed.

    `fingerprint` is of the files and variables that its manifest refers to, as they were just before.
    """
    same = history.digest == digest
    automatic = same and history.next_start is not None and history.failures > 0
    return replace(
        history,
        digest=digest,
        fingerprint=fingerprint,
        restart_count=history.restart_count + automatic,
        restarts=((*history.restarts, now) if automatic else history.restarts) if same else (),
        failures=history.failures if same else 0,
        next_start=None,
        next_start_at=None,
        held=None,
        completed=None,
        removed_at=None,
    )


def after_end(
    history: History,
    end: Termination,
    policy: RestartPolicy,
    *,
    now: float,
    wall: float,
    jitter: float,
    completes: bool = False,
) -> History:
    """An instance ended; `jitter` in [-1, 1], `completes` for exec."""
    history = replace(history, terminations=(*history.terminations, end)[-KEPT_TERMINATIONS:])
    if end.earlier_boot:
        return (
            replace(history, digest=end.digest, next_start=now, next_start_at=None)
            if end.stopped is None
            else history
        )
    by_itself = end.stopped is None or end.stopped.reason == LED_NO_MORE
    if not by_itself and end.stopped and end.stopped.reason not in REPLACED:
        return history
    history = replace(history, digest=end.digest, last_error=last_error(end))
    if end.exit_code == EXIT_CONFIG and by_itself:
        return _held(history, "ConfigurationInvalid", last_error(end))
    if completes and end.exit_code == EXIT_STOPPED and by_itself and policy.policy != "always":
        return replace(history, completed=end.digest, failures=0, last_error=None)
    if policy.policy == "never":
        return _held(history, "RestartNever", f"not restarted (restart.policy: never): {how(end)}")
    return _failed(history, end, policy, now=now, wall=wall, jitter=jitter)


def after_ends(
    histories: Mapping[str, History],
    desired: Desired,
    observed: Observed,
    ready: Collection[str],
    *,
    now: float,
    wall: float,
    jitters: Mapping[str, float],
) -> dict[str, History]:
    """All histories in this boot, those of `ready` names without an error, after the ends of a look."""
    after = {
        name: in_boot(after_ready(history) if name in ready else history, observed.boot_id)
        for name, history in histories.items()
    }
    for end in observed.ended:
        manifest = desired.manifests.get(end.name)
        after[end.name] = after_end(
            after.get(end.name, History(boot_id=observed.boot_id)),
            end,
            manifest.restart if manifest else RestartPolicy(),
            now=now,
            wall=wall,
            jitter=jitters[end.name],
            completes=manifest is not None and manifest.type == "exec",
        )
    return after


def after_failed_start(
    history: History,
    digest: str,
    fingerprint: str,
    message: str,
    policy: RestartPolicy,
    *,
    now: float,
    wall: float,
    jitter: float,
    hold: bool,
) -> History:
    """A start that made no process (command not found …) counts like a crash; with `hold` like exit 78."""
    end = Termination("", "", digest, None, None, "none", wall, now, 0.0, tail=message)
    history = replace(history, digest=digest, fingerprint=fingerprint, last_error=last_error(end))
    if hold:
        return _held(history, "ConfigurationInvalid", last_error(end))
    return _failed(history, end, policy, now=now, wall=wall, jitter=jitter)


def after_pass(histories: Mapping[str, History], plan: Plan, boot_id: str, now: float) -> dict[str, History]:
    """What is remembered once a plan was acted on.

    A collector that was let go because its manifest vanished begins anew should it come back; until the prune
    guard needs it no more it is remembered as removed. A Sink that was let go is forgotten, and so is what no step
    is about.
    """
    gone = [s for s in plan.steps if s.reason in LET_GO and s.verdict in ("stop", "stopped")]
    collectors = {s.name for s in gone if s.kind == "Collector"}
    sinks = {s.name for s in gone if s.kind == "Sink" and not s.instances}
    kept = {s.name for s in plan.steps} - sinks
    remembered = {}
    for name, past in histories.items():
        known = past
        if name in collectors and past.digest is not None:
            known = History(removed_at=now, terminations=past.terminations)
        if name in kept or (known.removed_at is not None and now - known.removed_at < TOGETHER_S):
            remembered[name] = known if known.boot_id == boot_id else replace(known, boot_id=boot_id)
    return remembered


def after_ready(history: History) -> History:
    """It is Ready: nothing is wrong any more. The back-off is reset by time, not by this."""
    return history if history.last_error is None else replace(history, last_error=None)


def released(history: History) -> History:
    """Somebody asked for a restart: no hold, no wait, not completed."""
    return replace(
        history, held=None, completed=None, failures=0, restarts=(), next_start=None, next_start_at=None
    )


def delay_s(policy: RestartPolicy, failures: int, jitter: float) -> float:
    """Seconds before the restart after the given number of failures in a row (>= 1)."""
    if policy.delay_s == 0:
        if failures == 1:
            return 0.0
        first, doublings = 1.0, failures - 2
    else:
        first, doublings = policy.delay_s, failures - 1
    return float(min(first * 2 ** min(doublings, 32), policy.max_delay_s) * (1 + JITTER * jitter))


def how(end: Termination) -> str:
    """How it ended, in words."""
    if end.stopped is not None:
        return f"stopped ({end.stopped.reason})"
    if end.signal is not None:
        return f"ended by signal {end.signal}"
    if end.exit_code is not None:
        return f"exited with {end.exit_code}"
    return "ended unobserved"


def last_error(end: Termination) -> str:
    """The end of its output, or how it ended; at most 1 KiB."""
    data = (end.tail.strip() or how(end)).encode()[-LAST_ERROR_BYTES:]
    return data.decode(errors="ignore")


def _failed(
    history: History,
    end: Termination,
    policy: RestartPolicy,
    *,
    now: float,
    wall: float,
    jitter: float,
) -> History:
    counted = history.restarts
    if policy.window_s:
        counted = tuple(at for at in counted if now - at < policy.window_s)
    if policy.max_restarts and len(counted) >= policy.max_restarts:
        message = f"gave up after {len(counted)} restarts (restart.maxRestarts): {how(end)}"
        return _held(replace(history, restarts=counted), "RestartLimit", message)
    lived_well = (end.lived_s or 0.0) >= GOOD_LIFE_S and not (
        end.stopped and end.stopped.reason == "StartTimeout"
    )
    failures = 1 if lived_well else history.failures + 1
    wait = delay_s(policy, failures, jitter)
    return replace(
        history,
        failures=failures,
        restarts=counted if policy.max_restarts else (),
        next_start=now + wait,
        next_start_at=wall + wait,
    )


def _held(history: History, reason: str, message: str) -> History:
    held = Held(history.digest or "", reason, message, history.fingerprint)
    return replace(history, held=held, next_start=None, next_start_at=None)


def history_to_json(history: History) -> dict[str, Any]:
    """A plain JSON object. As asdict(), which takes five times as long, and a start waits for it."""
    return {
        **_plain(history),
        "held": history.held and _plain(history.held),
        "terminations": [
            {**_plain(end), "stopped": end.stopped and _plain(end.stopped)} for end in history.terminations
        ],
    }


def _plain(value: History | Held | Termination | Stopping) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


def history_from_json(value: Any) -> History:
    """Read back what :func:`history_to_json` made; unknown keys are passed over. Raises ValueError."""
    try:
        plain = _known(History, value)
        for key, number in plain.items():
            if key in ("next_start", "next_start_at", "removed_at") and number is not None:
                plain[key] = _number(number)
        held = plain.get("held")
        plain |= {
            "restarts": tuple(_number(at) for at in plain.get("restarts", ())),
            "held": Held(**_known(Held, held)) if held is not None else None,
            "terminations": tuple(_termination(t) for t in plain.get("terminations", ())),
        }
        for key in ("failures", "restart_count"):
            if not isinstance(plain.get(key, 0), int):
                raise TypeError(f"{key} is no whole number")
        for key in ("digest", "completed", "last_error", "boot_id", "fingerprint"):
            if not isinstance(plain.get(key, ""), str | None):
                raise TypeError(f"{key} is no text")
        return History(**plain)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"not a history: {error}") from error


def _termination(value: Any) -> Termination:
    plain = _known(Termination, value)
    stopped = plain.get("stopped")
    plain["stopped"] = Stopping(**_known(Stopping, stopped)) if stopped is not None else None
    return Termination(**plain)


def _known(cls: type, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{cls.__name__} is no object")
    names = {f.name for f in fields(cls)}
    return {k: v for k, v in value.items() if k in names}


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value)
