"""What the last attempt at a service ended with, as a record."""

from procession.engine.attempts import last_error_of
from procession.services.records import ErrorShown, moment
from procession.store import ServiceCallRow
from procession.store.external_calls import ExternalCallRow


def last_error_shown(row: ServiceCallRow | ExternalCallRow) -> ErrorShown | None:
    """The last error of a call, if an attempt failed already."""
    found = last_error_of(row)
    return None if found is None else ErrorShown(found.type_name, found.message, moment(found.at_us), found.attempt)
