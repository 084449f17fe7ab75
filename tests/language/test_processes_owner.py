"""What a beginner gets wrong first is named with its line."""

import pytest

from procession import process
from procession.errors import NotDeclarable


def test_a_text_as_the_owner_of_a_process_is_refused_with_what_to_write() -> None:
    with pytest.raises(NotDeclarable, match=r"owner='Team' is not a business function.*Function\("):

        @process(owner="Team")  # type: ignore[arg-type]
        async def leave(days: int) -> int:
            return days
