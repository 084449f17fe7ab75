"""A moment as text: UTC, and behind it the name of the zone it was given in, as RFC 9557 writes it.

`2026-03-01T09:00:00Z[Europe/Amsterdam]` keeps both what the clock of the world said and where the author meant it. A
moment without a zone is refused at every hand-off: nobody could say when it is.
"""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from pydantic_core import PydanticCustomError


def moment_text(moment: datetime) -> str:
    """An aware moment as canonical text."""
    utc = moment.astimezone(UTC).replace(tzinfo=None).isoformat()
    zone = moment.tzinfo
    if isinstance(zone, ZoneInfo) and zone.key and zone.key != "UTC":
        return f"{utc}Z[{zone.key}]"
    return f"{utc}Z"


def read_moment(written: object) -> object:
    """A moment from its text; what is not text is left for the type to judge. Runs before pydantic's own check."""
    if not isinstance(written, str):
        return written
    text, _, zone = written.partition("[")
    try:
        moment = datetime.fromisoformat(text)
        if zone and moment.tzinfo is not None:
            return moment.astimezone(ZoneInfo(zone.removesuffix("]")))
    except (ValueError, OSError, OverflowError):
        raise PydanticCustomError("moment", "is not a moment such as 2026-03-01T09:00:00+01:00") from None
    except KeyError:
        raise PydanticCustomError(
            "moment", "names the time zone {zone}, which is not known here", {"zone": zone.removesuffix("]")}
        ) from None
    if len(text) < 16:
        raise PydanticCustomError("moment", "is a date without a time")
    return moment
