"""Timestamps of the States Language: RFC 3339 text to nanoseconds since 1970 and back. Reads no clock."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

NS_PER_S = 1_000_000_000

_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_timestamp(text: str) -> int | None:
    """Nanoseconds since 1970, or None where `text` is no timestamp.

    Date and time are joined by an upper-case T and end with Z or a numeric offset (RFC 3339, the profile that the
    States Language asks for). As on Step Functions the seconds may be missing.
    """
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        return None
    date, clock, seconds, fraction, sign, hours, minutes = match.groups()
    try:
        moment = datetime.fromisoformat(f"{date}T{clock}:{seconds or '00'}+00:00")
    except ValueError:
        return None
    offset = timedelta(hours=int(hours), minutes=int(minutes)) if sign else timedelta()
    if offset >= timedelta(hours=19) or (sign and int(minutes) > 59):
        return None
    since = moment - _EPOCH - (offset if sign == "+" else -offset)
    return (since.days * 86_400 + since.seconds) * NS_PER_S + int((fraction or "0").ljust(9, "0"))


def format_timestamp(epoch_ms: int) -> str:
    """As the context object shows times: UTC, milliseconds, Z."""
    moment = _EPOCH + timedelta(milliseconds=epoch_ms)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
