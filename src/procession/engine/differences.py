"""A divergence in full: beside what differs, the line that asked then and the line that asks now."""

import json

from procession.kernel import CallRequested, Divergence, Site
from procession.store.batch import Batch
from procession.store.releases import decode_site

LONGEST_LINE = 200


def told_with_lines(fault: Divergence, batch: Batch, release: int) -> str:
    """What differs, with both lines of source as far as they are known; `release` is the present one."""
    told = [fault.message]
    if isinstance(fault.recorded, CallRequested) and (site := batch.releases.find_site(fault.recorded.site)):
        told.append(_line("Recorded", decode_site(site.frames), batch, site.release))
    if fault.made_site:
        told.append(_line("Now", fault.made_site, batch, release))
    return " ".join(filter(None, told))


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
