"""When to try a delivery again, and when to stop. Standard Webhooks 1.0.0, with a quicker first hour for on-call."""

from dataclasses import dataclass

SECOND_MS = 1000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS

# Waits between the tries: ten tries in all, over 32 hours.
ONCALL_DELAYS_MS = (
    5 * SECOND_MS,
    15 * SECOND_MS,
    MINUTE_MS,
    5 * MINUTE_MS,
    30 * MINUTE_MS,
    2 * HOUR_MS,
    5 * HOUR_MS,
    10 * HOUR_MS,
    14 * HOUR_MS,
)
# A server that asks for more patience than this gets this.
MAX_RETRY_AFTER_MS = HOUR_MS

GONE = 410
THROTTLING = (429, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one try: an HTTP status, or `status` 0 and the `error`. `retry_after_ms` is 0 if not given.

    `refused` marks an error that no retry mends, such as an address that deliveries may not go to.
    """

    status: int
    error: str = ""
    retry_after_ms: int = 0
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Delivered:
    pass


@dataclass(frozen=True, slots=True)
class Again:
    """Try again after `delay_ms`; `pause` asks to leave the whole endpoint alone until then."""

    delay_ms: int
    pause: bool


@dataclass(frozen=True, slots=True)
class GivenUp:
    """No more tries; `disable` says that the endpoint wants no more messages at all."""

    reason: str
    disable: bool


def after(
    answer: Answer, attempt: int, delays_ms: tuple[int, ...], jitter: float
) -> Delivered | Again | GivenUp:
    """What to do after try number `attempt` (from 1). `jitter` in [0, 1) spreads a wait over ±20 %."""
    if 200 <= answer.status < 300:
        return Delivered()
    if answer.status == GONE:
        return GivenUp("the endpoint answered 410: it is gone, and disabled here", disable=True)
    problem = answer.error or f"status {answer.status}"
    if answer.refused:
        return GivenUp(problem, disable=False)
    if attempt > len(delays_ms):
        return GivenUp(f"{problem}, after {attempt} tries", disable=False)
    delay_ms = int(delays_ms[attempt - 1] * (0.8 + 0.4 * jitter))
    throttled = answer.status in THROTTLING
    if throttled:
        delay_ms = max(delay_ms, min(answer.retry_after_ms, MAX_RETRY_AFTER_MS))
    return Again(delay_ms, pause=throttled and answer.retry_after_ms > 0)
