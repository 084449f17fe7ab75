"""Releases, the sources they are made of, and the sites in them where calls were asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.sqlite import insert as upsert

from procession.kernel.site import Frame, Site
from procession.store import schema
from procession.store.connections import Connection
from procession.store.counters import Counters
from procession.store.header import compact
from procession.store.statements import Prepared, insert_into, select_where


class ReleaseRow(NamedTuple):
    """A version of an application's sources; the manifest (JSON text) names its files by digest."""

    id: int
    digest: bytes
    manifest: str
    first_used_us: int


class SiteRow(NamedTuple):
    """A place in a release's sources; `frames` is JSON, outermost first."""

    id: int
    release: int
    digest: bytes
    frames: str


_INSERT_RELEASE = insert_into(schema.release)
_INSERT_SITE = insert_into(schema.site)
_KEEP_SOURCE = Prepared(
    upsert(schema.source).values(digest=bindparam("digest"), text=bindparam("text")).on_conflict_do_nothing(),
    "digest",
    "text",
)
_RELEASE = select_where(schema.release, "id")
_RELEASE_BY_DIGEST = select_where(schema.release, "digest")
_NEWEST_RELEASE = Prepared(select(schema.release).order_by(schema.release.c.id.desc()).limit(1))
_SOURCE = select_where(schema.source, "digest")
_SITE = select_where(schema.site, "id")
_SITE_BY_DIGEST = select_where(schema.site, "release", "digest")

assert ReleaseRow._fields == tuple(column.name for column in schema.release.columns)
assert SiteRow._fields == tuple(column.name for column in schema.site.columns)


def encode_site(site: Site) -> str:
    """A site as JSON text: one list per frame, outermost first."""
    frames = [
        [frame.module, frame.function, frame.line, frame.column, frame.end_line, frame.end_column] for frame in site
    ]
    return compact(frames).decode()


def decode_site(frames: str) -> Site:
    """The site that `encode_site` wrote."""
    return tuple(Frame(*frame) for frame in json.loads(frames))


def find_release(connection: Connection, release: int) -> ReleaseRow | None:
    """The release with this number."""
    values = _RELEASE.run(connection, release).fetchone()
    return None if values is None else ReleaseRow(*values)


def find_release_by_digest(connection: Connection, digest: bytes) -> ReleaseRow | None:
    """The release with this digest."""
    values = _RELEASE_BY_DIGEST.run(connection, digest).fetchone()
    return None if values is None else ReleaseRow(*values)


def find_newest_release(connection: Connection) -> ReleaseRow | None:
    """The release that came last; None where nothing ran yet."""
    values = _NEWEST_RELEASE.run(connection).fetchone()
    return None if values is None else ReleaseRow(*values)


def find_source(connection: Connection, digest: bytes) -> str | None:
    """The text of a source file, by its digest."""
    values = _SOURCE.run(connection, digest).fetchone()
    return None if values is None else str(values[1])


def find_site(connection: Connection, site: int) -> SiteRow | None:
    """The site with this number."""
    values = _SITE.run(connection, site).fetchone()
    return None if values is None else SiteRow(*values)


class SiteNumbers:
    """Numbers of sites the writer has met; kept across batches, cut back when one is dropped."""

    def __init__(self) -> None:
        self.known: dict[tuple[int, object], int] = {}

    def forget_after(self, last: int) -> None:
        self.known = {key: number for key, number in self.known.items() if number <= last}


class Releases:
    """The releases of one batch."""

    def __init__(self, connection: Connection, counters: Counters, numbers: SiteNumbers) -> None:
        self._connection = connection
        self._counters = counters
        self._numbers = numbers
        self._sites: list[tuple[int, int, bytes, str]] = []

    def keep(self, digest: bytes, manifest: str, sources: Mapping[bytes, str], *, now_us: int) -> ReleaseRow:
        """The release with this digest, written with its sources (by digest) if the store does not have it yet."""
        row = find_release_by_digest(self._connection, digest)
        if row is not None:
            return row
        self._counters.release += 1
        row = ReleaseRow(self._counters.release, digest, manifest, now_us)
        if sources:
            _KEEP_SOURCE.run_many(self._connection, list(sources.items()))
        _INSERT_RELEASE.run(self._connection, row.id, row.digest, row.manifest, row.first_used_us)
        return row

    def find(self, release: int) -> ReleaseRow | None:
        return find_release(self._connection, release)

    def find_by_digest(self, digest: bytes) -> ReleaseRow | None:
        return find_release_by_digest(self._connection, digest)

    def find_source(self, digest: bytes) -> str | None:
        return find_source(self._connection, digest)

    def find_site(self, site: int) -> SiteRow | None:
        """The site with this number; None too for one that this batch has made."""
        return find_site(self._connection, site)

    def site(self, release: int, site: Site) -> int:
        """The number of a site in a release, given to it if it is new."""
        known = self._numbers.known
        number = known.get((release, site))
        if number is not None:
            return number
        frames = encode_site(site)
        digest = sha256(frames.encode()).digest()
        found = _SITE_BY_DIGEST.run(self._connection, release, digest).fetchone()
        if found is None:
            self._counters.site += 1
            number = self._counters.site
            self._sites.append((number, release, digest, frames))
        else:
            number = int(found[0])
        known[release, site] = number
        return number

    def write(self) -> int:
        written = len(self._sites)
        if written:
            _INSERT_SITE.run_many(self._connection, self._sites)
            self._sites.clear()
        return written
