"""Identifiers for what the engine makes."""

import os


def new_uuid7(at_us: int) -> bytes:
    """A UUID of version 7 (RFC 9562): milliseconds of that moment, then chance; 16 bytes that sort by time."""
    chance = bytearray(os.urandom(10))
    chance[0] = chance[0] & 0x0F | 0x70
    chance[2] = chance[2] & 0x3F | 0x80
    return (at_us // 1000).to_bytes(6) + bytes(chance)
