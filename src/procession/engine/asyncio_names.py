"""Makes parts of asyncio deterministic on an instance's loop, and nowhere else.

`asyncio.wait_for` and `asyncio.as_completed` are replaced by wrappers that fall through unless the running loop is an
instance's: `as_completed` starts coroutines in the order of a set, and `wait_for` takes another number of turns in each
Python version. Installed at the first engine, not at import.
"""

from procession.kernel import replacements

_installed = False


def install() -> None:
    """Put the kernel's replacements in place, once per interpreter."""
    global _installed
    if not _installed:
        _installed = True
        for owner, name, replacement in replacements():
            setattr(owner, name, replacement)
