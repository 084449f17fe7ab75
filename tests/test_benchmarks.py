"""The benchmarks compare with the store as it is: a row that no longer fits would be found only by whoever measures."""

from pathlib import Path

from benchmarks import raw_sqlite


def test_the_raw_rows_fit_the_tables_of_the_store(tmp_path: Path) -> None:
    figures = raw_sqlite.throughput(tmp_path / "raw.db", instances=2, batch=2)
    assert figures.transitions == 12
