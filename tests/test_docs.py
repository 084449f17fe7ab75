"""What the documentation shows is what happens: its code runs, its links lead somewhere, its lists are complete."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from procession.services.scaffold import make_application
from tests.pages import PageWrong, blocks, run_page

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TOP_PAGES = [*PAGES, ROOT / "ROADMAP.md", ROOT / "CHANGELOG.md"]


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_the_code_on_a_page_does_what_the_page_shows(page: Path, tmp_path: Path) -> None:
    run_page(page, tmp_path)


def test_the_tutorial_is_code_that_runs() -> None:
    """At least one page has commands: a runner that finds no blocks would pass everything."""
    text = (ROOT / "docs" / "tutorial" / "first-process.md").read_text()
    assert text.count("```console") >= 3
    assert text.count("\n$ procession ") >= 5


def test_the_tutorial_shows_the_process_that_new_makes(tmp_path: Path) -> None:
    """Else the lines that `show` names are not those that its reader has before them."""
    made = make_application(tmp_path / "leave")
    shown = [
        block.text for block in blocks(ROOT / "docs" / "tutorial" / "first-process.md") if block.language == "python"
    ]
    assert shown[0] == (Path(made.folder) / "leave" / "process.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", TOP_PAGES, ids=page_name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, heading = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (heading and heading not in headings(file)):
            broken.append(target)
    assert broken == []


def test_every_page_is_reached_by_links_from_the_first_one() -> None:
    reached, to_read = set(), [ROOT / "docs" / "README.md"]
    while to_read:
        page = to_read.pop()
        if page not in reached:
            reached.add(page)
            targets = re.findall(r"\]\(([^)#\s]+\.md)", page.read_text(encoding="utf-8"))
            to_read += [(page.parent / target).resolve() for target in targets]
    assert [page_name(page) for page in PAGES if page not in reached and page.name != "template.md"] == ["README.md"]


def headings(page: Path) -> set[str]:
    """The anchors of a page, as they are made from its headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_reference_is_what_the_docstrings_say() -> None:
    """`make docs` writes it; a new name or error without its entry fails here."""
    run = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


# The runner itself


def page_of(folder: Path, text: str) -> Path:
    page = folder / "page.md"
    page.write_text(text, encoding="utf-8")
    return page


def test_a_command_whose_output_differs_is_noticed(tmp_path: Path) -> None:
    page = page_of(tmp_path, "```console\n$ echo one two\none …\n$ echo three\nfour\n```\n")
    with pytest.raises(PageWrong, match=r"page\.md:4: `echo three` does not show this line"):
        run_page(page, tmp_path)


def test_a_command_that_fails_is_noticed_unless_the_page_says_so(tmp_path: Path) -> None:
    assert run_page(page_of(tmp_path, "```console\n$ ls nowhere\n(exit status 2)\n```\n"), tmp_path) == 1
    with pytest.raises(PageWrong, match="ended with status 2"):
        run_page(page_of(tmp_path, "```console\n$ ls nowhere\n```\n"), tmp_path)


def test_a_page_has_one_shell_and_files_of_its_own(tmp_path: Path) -> None:
    page = page_of(
        tmp_path,
        "```console\n$ mkdir inner && cd inner\n$ name=world\n```\n"
        "```python greet.py\nprint('hello')\n```\n"
        '```console\n$ python greet.py && echo "$name"\nhello\nworld\n```\n',
    )
    assert run_page(page, tmp_path) == 3
    assert (tmp_path / "inner" / "greet.py").exists()


def test_python_that_raises_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(PageWrong, match="ZeroDivisionError"):
        run_page(page_of(tmp_path, "```python\n1 / 0\n```\n"), tmp_path)
