from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.subject import SqliteSubject


@pytest.fixture(params=[SqliteSubject], ids=lambda subject: subject.name)
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqliteSubject]:
    made: SqliteSubject = request.param(tmp_path)
    yield made
    made.close()
