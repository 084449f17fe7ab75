"""Tells whether a path lies on a network file system, where SQLite's locks and shared memory do not hold."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

# Names as the kernels give them. On none of these do locks, shared memory and flushes hold for SQLite in WAL mode;
# shared folders of virtual machines (9p, vboxsf, …) count, since the host's programs see other locks.
_NETWORK = """
nfs nfs3 nfs4 cifs smb smb2 smb3 smbfs afpfs webdav davfs fuse.davfs2 fuse.sshfs sshfs osxfuse macfuse ncpfs afs coda
9p drvfs vboxsf prl_fs fuse.prl_fs vmhgfs fuse.vmhgfs-fuse fuse.grpcfuse osxfs ceph fuse.ceph glusterfs fuse.glusterfs
lustre beegfs gpfs orangefs pvfs2 fuse.s3fs fuse.goofys fuse.gcsfuse fuse.rclone fuse.juicefs ocfs2 gfs2 acfs
"""
NETWORK_FILE_SYSTEMS = frozenset(_NETWORK.split())

Mounts = Callable[[], str]


def read_mounts() -> str:
    """The system's own list of mounts: of /proc on Linux, of `mount` on macOS."""
    if sys.platform == "darwin":
        return subprocess.run(["/sbin/mount"], capture_output=True, text=True, timeout=10, check=False).stdout
    try:
        return Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def file_system_of(path: Path, mounts: Mounts = read_mounts) -> str | None:
    """The kind of file system that holds this path; None if the system does not say."""
    target = path.resolve()
    best: tuple[int, str] | None = None
    for point, kind in _parse(mounts()):
        depth = len(Path(point).parts)
        # Of two mounts on one point the later covers the earlier.
        if target.is_relative_to(point) and (best is None or depth >= best[0]):
            best = (depth, kind)
    return None if best is None else best[1]


def network_file_system_of(path: Path, mounts: Mounts = read_mounts) -> str | None:
    """The kind of network file system that holds this path; None if it is local."""
    kind = file_system_of(path, mounts)
    return kind if kind is not None and kind.lower() in NETWORK_FILE_SYSTEMS else None


def _parse(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        # macOS: //ann@server/share on /Volumes/share (smbfs, nodev)
        # Linux: server:/share /mnt/share nfs4 rw,relatime 0 0   (a blank in a name is written \\040)
        if " on /" in line and line.rstrip().endswith(")"):
            place, _, options = line.rpartition(" (")
            yield place[place.index(" on /") + 4 :], options.rstrip(") ").split(",")[0].strip()
            continue
        fields = line.split(" ")
        if len(fields) >= 3:
            yield fields[1].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\"), fields[2]
