"""Times of the week, as a team keeps them."""

from dataclasses import dataclass
from datetime import datetime, tzinfo


@dataclass(frozen=True, slots=True)
class Hours:
    """On `days` (0 = Monday), from `start_minute` of the day until before `end_minute`, in `zone`.

    Where the end is not after the start, they go on past midnight, and belong to the day on which they began.
    """

    days: frozenset[int]
    start_minute: int
    end_minute: int
    zone: tzinfo

    def contain(self, now_ms: int) -> bool:
        """
        >>> from datetime import UTC
        >>> hours = Hours(frozenset({3}), 9 * 60, 17 * 60, UTC)  # 1 January 1970 was a Thursday
        >>> [hours.contain(hour * 3_600_000) for hour in (8, 9, 16, 17, 33)]
        [False, True, True, False, False]
        """
        local = datetime.fromtimestamp(now_ms / 1000, self.zone)
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.start_minute < self.end_minute:
            return day in self.days and self.start_minute <= minute < self.end_minute
        begun_today = day in self.days and minute >= self.start_minute
        begun_yesterday = (day - 1) % 7 in self.days and minute < self.end_minute
        return begun_today or begun_yesterday
