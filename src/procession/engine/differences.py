"""A divergence in full: beside what differs, the line that asked then and the line that asks now."""

import json

from procession.kernel import CallRequested, Divergence, RequestCall, Site
from procession.language.failures import message_of
from procession.store.batch import Batch
from procession.store.releases import decode_site

LONGEST_LINE = 200
LONGEST_INPUT = 200
SHOWN_BEFORE = 60

SUSPECTS = (
    "the input depends on the clock, chance, the order of a set, the environment or a global variable: "
    "use now, random and uuid4 of procession, and have services read what is outside"
)
"""What makes the input of a call another one in replay, where nobody changed the source."""


def told_with_lines(fault: Divergence, batch: Batch, release: int) -> str:
    """What differs, with both lines of source as far as they are known; `release` is the present one."""
    told = [fault.message]
    if isinstance(fault.recorded, CallRequested) and (site := batch.releases.find_site(fault.recorded.site)):
        told.append(_line("Recorded", decode_site(site.frames), batch, site.release))
    if fault.made_site:
        told.append(_line("Now", fault.made_site, batch, release))
    if fault.meanwhile is not None:
        bug = f"{type(fault.meanwhile).__qualname__}: {message_of(fault.meanwhile)}".rstrip(".")
        told.append(f"A bug was on its way up there, and is perhaps all that is wrong: {bug}.")
        told.append(_line("Raised", fault.meanwhile_site, batch, release))
    return " ".join(filter(None, told))


def told_in_full(fault: Divergence, batch: Batch, release: int) -> str:
    """The same with both inputs, where a call has another one: for whoever is answered.

    The sentence of a halt goes to lists and logs, so there the inputs stand apart, beside it.
    """
    return " ".join(filter(None, (told_with_lines(fault, batch, release), told_inputs(fault))))


def told_inputs(fault: Divergence) -> str:
    """Both inputs of a call in sentences, and what is to be suspected; nothing where something else differs."""
    inputs = inputs_of(fault)
    if inputs is None:
        return ""
    return f"Recorded input: {inputs[0]}. Input now: {inputs[1]}. If the source did not change, {SUSPECTS}."


def inputs_of(fault: Divergence) -> tuple[str, str] | None:
    """The recorded input of a call and the one that the source gives it now, cut around what differs."""
    recorded, made = fault.recorded, fault.made
    if not isinstance(recorded, CallRequested) or not isinstance(made, RequestCall):
        return None
    if (recorded.kind, recorded.operation) != (made.kind, made.operation):
        return None
    texts = recorded.input.decode(errors="replace"), made.input.decode(errors="replace")
    same = next((at for at, (one, other) in enumerate(zip(*texts, strict=False)) if one != other), 0)
    start = max(same - SHOWN_BEFORE, 0)
    return _cut(texts[0], start), _cut(texts[1], start)


def _cut(text: str, start: int) -> str:
    if len(text) <= LONGEST_INPUT:
        return text
    piece = text[start : start + LONGEST_INPUT]
    return f"{'…' if start else ''}{piece}{'…' if start + len(piece) < len(text) else ''}"


def _line(when: str, site: Site, batch: Batch, release: int) -> str:
    if not site:
        return ""
    frame = site[-1]
    text = _source_line(batch, release, frame.module, frame.line)
    return f"{when}: {frame.module} line {frame.line}" + (f": `{text}`." if text else ".")


def _source_line(batch: Batch, release: int, module: str, line: int) -> str:
    row = batch.releases.find(release)
    digest = json.loads(row.manifest).get("modules", {}).get(module) if row is not None else None
    source = batch.releases.find_source(bytes.fromhex(digest)) if digest else None
    lines = (source or "").splitlines()
    text = lines[line - 1].strip() if 0 < line <= len(lines) else ""
    return text if len(text) <= LONGEST_LINE else text[:LONGEST_LINE] + "…"
