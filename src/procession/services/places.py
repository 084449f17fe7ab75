"""Where a recorded frame is in the source: the file to open, and the line as it stood in the release that ran."""

import json
import linecache
from collections.abc import Sequence
from pathlib import Path

from procession.kernel import BranchStack, Frame, Site
from procession.services.pointing import point_at
from procession.services.records import BranchShown, FrameShown
from procession.services.shortening import shortened
from procession.store import View

LONGEST_VALUE = 200


class Places:
    """Looks up the source lines of frames, for one application folder and one snapshot."""

    def __init__(self, folder: Path, view: View) -> None:
        self._folder = folder
        self._view = view
        self._modules: dict[int, dict[str, str]] = {}
        self._lines: dict[tuple[int, str], list[str]] = {}
        self._shown: dict[tuple[int, Frame, str], FrameShown] = {}

    def branch_now(self, stack: BranchStack, operation: str | None, *, with_variables: bool) -> BranchShown:
        """A branch of a replayed instance, and the operation it waits for: the source is the file that was imported."""
        frames = []
        callees = _callees([each.frame for each in stack.frames], operation)
        for each, callee in zip(stack.frames, callees, strict=True):
            lines = linecache.getlines(each.filename)
            variables = {name: _spoken(value) for name, value in each.variables.items()} if with_variables else None
            frames.append(_shown(each.frame, callee, each.filename, lines, variables))
        return BranchShown(stack.branch, tuple(frames), stack.waits_for)

    def branch_of_release(
        self, site: Site, release: int, *, branch: str = "", call: int | None = None, operation: str | None = None
    ) -> BranchShown:
        """A branch as it was recorded: the source is that of the release it was recorded under."""
        callees = _callees(site, operation)
        frames = tuple(self._recorded(release, frame, callee) for frame, callee in zip(site, callees, strict=True))
        return BranchShown(branch, frames, call)

    def _recorded(self, release: int, frame: Frame, callee: str) -> FrameShown:
        """Each place is looked for once: where code has called itself, it is the same one a thousand times."""
        key = (release, frame, callee)
        if key not in self._shown:
            lines = self._source_of(release, frame.module)
            self._shown[key] = _shown(frame, callee, self._file_of(release, frame.module), lines, None)
        return self._shown[key]

    def _file_of(self, release: int, module: str) -> str:
        """The file of a module of the application; a library, which no release keeps, is known by its name alone."""
        if not self._source_of(release, module):
            return f"<{module}>"
        path = self._folder.joinpath(*module.split("."))
        return str(path / "__init__.py" if (path / "__init__.py").is_file() else path.with_suffix(".py"))

    def _source_of(self, release: int, module: str) -> list[str]:
        if (release, module) not in self._lines:
            if release not in self._modules:
                row = self._view.release(release)
                self._modules[release] = {} if row is None else json.loads(row.manifest).get("modules", {})
            digest = self._modules[release].get(module)
            text = self._view.source(bytes.fromhex(digest)) if digest else None
            self._lines[release, module] = (text or "").splitlines()
        return self._lines[release, module]


def shortened_frames(frames: Sequence[FrameShown]) -> list[FrameShown | str]:
    """A call stack for people, a text in place of what says nothing new."""
    return shortened(frames, lambda frame: (frame.file, frame.line, frame.function))


def _callees(frames: Sequence[Frame], operation: str | None) -> list[str]:
    """What each frame calls: the function of the next one, and at the end the operation that is waited for."""
    names = [frame.function.rpartition(".")[2] for frame in frames[1:]]
    return [*names, (operation or "").rpartition(".")[2]] if frames else []


def _shown(frame: Frame, callee: str, file: str, lines: Sequence[str], variables: dict[str, str] | None) -> FrameShown:
    if callee:
        frame = point_at(frame, "".join(line if line.endswith("\n") else line + "\n" for line in lines), callee)
    source = lines[frame.line - 1].rstrip("\n") if 0 < frame.line <= len(lines) else ""
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
