"""Identifiers for the world outside: UUIDs of version 7, which sort by the time they were made and so cost the index less."""

from __future__ import annotations

import os


def new_uuid7(at_us: int) -> bytes:
    """Sixteen bytes by RFC 9562: milliseconds, the fraction of one, and 62 random bits."""
    milliseconds, fraction = divmod(at_us, 1000)
    return bytes(
        (
            *milliseconds.to_bytes(6, "big"),
            0x70 | (fraction * 4096 // 1000) >> 8,
            (fraction * 4096 // 1000) & 0xFF,
            0x80 | os.urandom(1)[0] & 0x3F,
            *os.urandom(7),
        )
    )
