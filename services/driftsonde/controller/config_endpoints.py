"""The endpoints of on-call: where they are, and what each is told when."""

import re
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pydantic

from driftsonde.controller.channels import alertmanager, opsgenie, pagerduty
from driftsonde.controller.config_parts import (
    Channel,
    Endpoint,
    InvalidConfig,
    SignedTarget,
    Surroundings,
    Texts,
    choice,
    duration_ms,
)
from driftsonde.core.control.decisions import Kind, Severity
from driftsonde.core.control.hours import Hours
from driftsonde.core.control.routing import Route

Name = Annotated[str, pydantic.StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]

HOLD, SKIP = "hold", "skip"
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

_HOURS = re.compile(r"(\w{3})(?:-(\w{3}))? (\d\d):(\d\d)-(\d\d):(\d\d)")
_DEFAULT_URLS = {Channel.PAGERDUTY: pagerduty.URL, Channel.OPSGENIE: opsgenie.URL}
_NEED_KEY = (Channel.PAGERDUTY, Channel.OPSGENIE)
_KEEP_ALERTS = (Channel.PAGERDUTY, Channel.OPSGENIE, Channel.ALERTMANAGER)
_CAN_DIGEST = (Channel.WEBHOOK, Channel.SLACK)


class EndpointSection(SignedTarget):
    name: Name
    type: str = Channel.WEBHOOK.value
    key: str = ""
    key_env: str = ""
    kinds: Texts
    models: Texts
    owners: Texts
    severity: str = Severity.INFO.value
    hours: str = ""
    timezone: str = "UTC"
    outside_hours: str = HOLD
    digest: str = ""
    escalate_after: str = ""
    repeat: str = ""

    @property
    def path(self) -> str:
        return f"endpoints.{self.name}"

    def read_endpoint(self, around: Surroundings) -> Endpoint:
        channel = Channel(choice(f"{self.path}.type", self.type, Channel))
        if self.repeat and channel is not Channel.ALERTMANAGER:
            raise InvalidConfig(f"{self.path}.repeat: {channel} does not forget what it was told")
        if channel is Channel.WEBHOOK:
            if self.key or self.key_env:
                raise InvalidConfig(f"{self.path}: a webhook is signed: it has a secret, not a key")
            return self.endpoint(self.path, self.name, around)
        if self.secret or self.secret_env:
            raise InvalidConfig(f"{self.path}: {channel} is not signed: it has a key, not a secret")
        if channel is Channel.SLACK and (self.key or self.key_env):
            raise InvalidConfig(f"{self.path}: slack has no key: its url is the secret")
        needed = channel in _NEED_KEY
        default = _DEFAULT_URLS.get(channel, "")
        url = around.one_of(self.path, "url", self.url, self.url_env, needed=not default) or default
        token = around.one_of(self.path, "key", self.key, self.key_env, needed=needed)
        return Endpoint(
            self.name, around.url(f"{self.path}.url", url), (), channel, token, self._repeat_ms(channel)
        )

    def _repeat_ms(self, channel: Channel) -> int:
        if channel is not Channel.ALERTMANAGER:
            return 0
        repeat_ms = self._duration_ms("repeat", self.repeat) or alertmanager.REPEAT_MS
        if repeat_ms > alertmanager.KEPT_MS // 2:
            raise InvalidConfig(f"{self.path}.repeat: expected 12h or less: an alert is over after a day")
        return repeat_ms

    def read_route(self) -> Route:
        channel = Channel(self.type)
        digest_ms = self._duration_ms("digest", self.digest)
        if digest_ms and channel not in _CAN_DIGEST:
            raise InvalidConfig(f"{self.path}.digest: {channel} keeps alerts one by one")
        if self.outside_hours not in (HOLD, SKIP):
            raise InvalidConfig(f"{self.path}.outside_hours: expected {HOLD} or {SKIP}")
        return Route(
            name=self.name,
            kinds=frozenset(self._kind(text) for text in self.kinds),
            models=frozenset(self.models),
            owners=frozenset(self.owners),
            at_least=Severity(choice(f"{self.path}.severity", self.severity, Severity)),
            incidents_only=channel in _KEEP_ALERTS,
            hours=self._hours(),
            hold=self.outside_hours == HOLD,
            digest_ms=digest_ms,
            escalation_ms=self._duration_ms("escalate_after", self.escalate_after),
        )

    def _kind(self, text: str) -> Kind:
        allowed = [kind.value for kind in Kind if kind not in (Kind.NOTIFY, Kind.ESCALATE)]
        if text not in allowed:
            raise InvalidConfig(f"{self.path}.kinds: {text!r}; expected some of {', '.join(allowed)}")
        return Kind(text)

    def _duration_ms(self, field: str, text: str) -> int:
        return duration_ms(f"{self.path}.{field}", text) if text else 0

    def _hours(self) -> Hours | None:
        if not self.hours:
            return None
        try:
            zone = ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError):
            raise InvalidConfig(f"{self.path}.timezone: there is no {self.timezone!r}") from None
        match = _HOURS.fullmatch(self.hours)
        if match is None or not {match[1], match[2] or match[1]} <= set(DAYS):
            raise InvalidConfig(f'{self.path}.hours: {self.hours!r}; write it like "Mon-Fri 09:00-18:00"')
        first, last = DAYS.index(match[1]), DAYS.index(match[2] or match[1])
        days = frozenset((first + offset) % 7 for offset in range((last - first) % 7 + 1))
        start, end = _minute(match[3], match[4]), _minute(match[5], match[6])
        if start is None or end is None or start == end:
            raise InvalidConfig(f"{self.path}.hours: {self.hours!r} has no such time of day")
        return Hours(days, start, end, zone)


def _minute(hour: str, minute: str) -> int | None:
    """The minute of the day; 24:00 is its end."""
    total = int(hour) * 60 + int(minute)
    return total if int(minute) < 60 and total <= 24 * 60 else None
