"""Reading a recorded log: what counts as a case, and what is refused in one paragraph that names the line."""

import gzip
from pathlib import Path

import pytest

from procession.services.demo_log import LogNotReadable, read_log

HEADER = "case,activity,completed,resource,group,case_started,case_ended,channel,department,responsible\n"
ROWS = (
    "c-2,Register,2011-10-12T09:00:00+02:00,Ann,G1,2011-10-11 08:30:00+02:00,,Desk,General,Ann\n"
    "c-1,Check,2011-10-11T10:00:00+02:00,Bob,,2011-10-11T08:00:00+02:00,2011-10-20T08:00:00+02:00,Post,General,Ann\n"
    "c-1,Register,2011-10-11T09:00:00+02:00,Ann,G1,2011-10-11T08:00:00+02:00,2011-10-20T08:00:00+02:00,Post,General,Ann\n"
)


def written(folder: Path, text: str) -> Path:
    path = folder / "log.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_cases_come_by_their_first_event_and_events_by_their_time(tmp_path: Path) -> None:
    log = read_log(written(tmp_path, HEADER + ROWS))
    assert [(case.case, case.activities, case.closed) for case in log] == [
        ("c-1", ("Register", "Check"), True),
        ("c-2", ("Register",), False),
    ]
    assert log[0].events[1].at_us - log[0].events[0].at_us == 3_600_000_000
    assert log[0].events[1].performer == "Bob"
    assert log[0].events[0].group == "G1"


def test_events_of_one_moment_keep_the_order_of_the_file(tmp_path: Path) -> None:
    rows = "".join(f"c,{name},2011-10-11T10:00:00+00:00,Ann,,,,Post,General,Ann\n" for name in ("Z", "A", "M"))
    assert read_log(written(tmp_path, HEADER + rows))[0].activities == ("Z", "A", "M")


def test_a_case_begins_where_its_row_says_but_never_after_its_first_event(tmp_path: Path) -> None:
    late = ROWS.replace("2011-10-11 08:30:00+02:00", "2011-12-24 08:00:00+02:00")
    for case in read_log(written(tmp_path, HEADER + late)):
        assert case.started_us <= case.events[0].at_us


def test_a_compressed_log_reads_the_same(tmp_path: Path) -> None:
    compressed = tmp_path / "log.csv.gz"
    compressed.write_bytes(gzip.compress((HEADER + ROWS).encode()))
    assert read_log(compressed) == read_log(written(tmp_path, HEADER + ROWS))


def test_names_that_look_the_same_are_the_same(tmp_path: Path) -> None:
    """Letters with accents can be spelled in two ways, and blanks around a name mean nothing."""
    rows = "".join(
        f"{case},Register,2011-10-11T1{hour}:00:00+00:00,Zo{letter} ,,,, Post ,General,Ann\n"
        for hour, (case, letter) in enumerate([("caf\u00e9", "\u00eb"), ("cafe\u0301 ", "e\u0308")])
    )
    (case,) = read_log(written(tmp_path, HEADER + rows))
    assert {event.performer for event in case.events} == {"Zo\u00eb"}
    assert case.channel == "Post"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (HEADER + ROWS + "c-3,Register,yesterday,Ann,,,,Post,General,Ann\n", "line 5"),
        (HEADER + ROWS + "c-3,Register,2011-10-11T10:00:00,Ann,,,,Post,General,Ann\n", "no time zone"),
        (HEADER + ROWS + "c-3,Register\n", "line 5"),
        (HEADER + ROWS + "c-3,Register,2011-10-11T10:00:00+00:00,Ann,,,,Post,General,Ann,more\n", "line 5"),
        (HEADER + "c-3,,2011-10-11T10:00:00+00:00,Ann,,,,Post,General,Ann\n", "activity is empty"),
        (HEADER + "c-3,Register,,Ann,,,,Post,General,Ann\n", "completed is empty"),
        (HEADER + "c-3,Register,2011-10-11T10:00:00+00:00, ,,,,Post,General,Ann\n", "resource is empty"),
        (HEADER + ",Register,2011-10-11T10:00:00+00:00,Ann,,,,Post,General,Ann\n", "case is empty"),
        (HEADER + "c\x07,Register,2011-10-11T10:00:00+00:00,Ann,,,,Post,General,Ann\n", "control character"),
        (HEADER + f"c,Register,2011-10-11T10:00:00+00:00,{'x' * 300},,,,Post,General,Ann\n", "300 characters"),
        (HEADER + "c,Register,2011-10-11T10:00:00+00:00,Ann,,soon,,Post,General,Ann\n", "'soon' is not a date"),
        (HEADER + "c,Register,1969-12-31T23:59:59+00:00,Ann,,,,Post,General,Ann\n", "before 1970"),
        (HEADER + "c,Register,0001-01-01T00:00:00+14:00,Ann,,,,Post,General,Ann\n", "before 1970"),
        (HEADER + "c,Register,9999-12-31T23:59:59-14:00,Ann,,,,Post,General,Ann\n", "not yet over"),
        (HEADER + f"c,{'x' * 200_000},2011-10-11T10:00:00+00:00,Ann,,,,Post,General,Ann\n", "no CSV"),
        (HEADER + 'c-3,"Register,2011\n', "no CSV"),
        (HEADER, "no rows"),
        ("case,activity\nc,Register\n", "completed, group, resource"),
        ("", "no column"),
    ],
)
def test_a_broken_log_is_refused_as_a_whole_and_the_place_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(LogNotReadable, match=named):
        read_log(written(tmp_path, text))


def test_many_broken_rows_are_counted_and_three_of_them_shown(tmp_path: Path) -> None:
    rows = "".join(f"c,Register,day {day},Ann,,,,Post,General,Ann\n" for day in range(9))
    with pytest.raises(LogNotReadable, match=r"9 broken rows.*line 2.*line 4.*and 6 more"):
        read_log(written(tmp_path, HEADER + rows))


def test_a_log_that_is_missing_or_not_whole_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogNotReadable, match="cannot be read"):
        read_log(tmp_path / "nowhere.csv")
    with pytest.raises(LogNotReadable, match="cannot be read"):
        read_log(tmp_path)
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress((HEADER + ROWS).encode())[:-20])
    with pytest.raises(LogNotReadable, match="not whole"):
        read_log(cut)
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(LogNotReadable, match="UTF-8"):
        read_log(binary)
