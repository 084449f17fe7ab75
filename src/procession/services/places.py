"""Where a recorded frame is in the source: the file to open, and the line as it stood in the release that ran."""

import json
import linecache
from pathlib import Path

from procession.kernel import BranchStack, Frame, StackFrame
from procession.services.records import BranchShown, FrameShown
from procession.store import View

LONGEST_VALUE = 200


class Places:
    """Looks up the source lines of frames, for one application folder and one snapshot."""

    def __init__(self, folder: Path, view: View) -> None:
        self._folder = folder
        self._view = view
        self._modules: dict[int, dict[str, str]] = {}
        self._lines: dict[tuple[int, str], list[str]] = {}

    def branch_now(self, stack: BranchStack, *, with_variables: bool) -> BranchShown:
        """A branch of a replayed instance: the source is the file that was imported."""
        frames = tuple(self._frame_now(each, with_variables) for each in stack.frames)
        return BranchShown(stack.branch, frames, stack.waits_for)

    def frame_of_release(self, frame: Frame, release: int) -> FrameShown:
        """A recorded frame: the source is that of the release it was recorded under."""
        lines = self._source_of(release, frame.module)
        source = lines[frame.line - 1] if 0 < frame.line <= len(lines) else ""
        return _shown(frame, str(self._file_of(frame.module)), source, None)

    def _frame_now(self, frame: StackFrame, with_variables: bool) -> FrameShown:
        source = linecache.getline(frame.filename, frame.frame.line)
        variables = {name: _spoken(value) for name, value in frame.variables.items()} if with_variables else None
        return _shown(frame.frame, frame.filename, source, variables)

    def _file_of(self, module: str) -> Path:
        path = self._folder.joinpath(*module.split("."))
        if (path / "__init__.py").is_file():
            return path / "__init__.py"
        return path.with_suffix(".py")

    def _source_of(self, release: int, module: str) -> list[str]:
        if (release, module) not in self._lines:
            if release not in self._modules:
                row = self._view.release(release)
                self._modules[release] = {} if row is None else json.loads(row.manifest).get("modules", {})
            digest = self._modules[release].get(module)
            text = self._view.source(bytes.fromhex(digest)) if digest else None
            self._lines[release, module] = (text or "").splitlines()
        return self._lines[release, module]


def _shown(frame: Frame, file: str, source: str, variables: dict[str, str] | None) -> FrameShown:
    source = source.rstrip("\n")
    # Python counts columns in bytes of UTF-8.
    raw = source.encode()
    column = len(raw[: frame.column].decode(errors="ignore"))
    end_column = len(raw[: frame.end_column].decode(errors="ignore")) if frame.end_line == frame.line else len(source)
    return FrameShown(
        frame.function, frame.module, file, frame.line, column, frame.end_line, end_column, source, variables
    )


def _spoken(value: object) -> str:
    try:
        text = repr(value)
    except Exception as error:
        return f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "…"
