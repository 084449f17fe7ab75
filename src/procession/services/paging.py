"""All instances that a filter chooses, however many there are: page by page, each page a snapshot of its own."""

from collections.abc import Iterator

from procession.store import InstanceFilter, InstanceRow, Readers, View

_PAGE = 500


def every_instance(readers: Readers, wanted: InstanceFilter) -> Iterator[tuple[View, InstanceRow]]:
    """The newest first, each with the snapshot that it is of."""
    before: int | None = None
    while True:
        with readers.snapshot() as view:
            rows = view.instances.list(wanted, before=before, limit=_PAGE)
            for row in rows:
                yield view, row
        if len(rows) < _PAGE:
            return
        before = rows[-1].id
