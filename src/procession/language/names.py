"""Names and keys that people type and programs compare: one spelling for what looks the same."""

import unicodedata

from procession.errors import InvalidValue

LONGEST_NAME = 200


def name_fault(text: str) -> str | None:
    """What is wrong with a name or key, as a sentence, or None."""
    if not text:
        return "is empty"
    if len(text) > LONGEST_NAME:
        return f"has {len(text)} characters; a name has at most {LONGEST_NAME}"
    if text != text.strip():
        return "begins or ends with a blank"
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        return "holds a control character"
    return None


def normal_name(text: str, *, what: str) -> str:
    """A name in its one spelling (NFC); case counts. Raises `InvalidValue` for what cannot be a name; `what` is told."""
    normal = unicodedata.normalize("NFC", text)
    if fault := name_fault(normal):
        shown = normal if len(normal) <= 60 else f"{normal[:60]}…"
        raise InvalidValue(
            f"The {what} {shown!r} {fault}.",
            problems={what: fault},
            subject=what,
            remedy=f"Take 1 to {LONGEST_NAME} characters, no control characters, no blanks at the ends.",
        )
    return normal


def qualified_name(cls: type) -> str:
    """The name under which a class is known in a history: its module and its name in it."""
    return f"{cls.__module__}.{cls.__qualname__}"
