"""Which file system a path lies on, as the systems write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from procession.store.mounts import NETWORK_FILE_SYSTEMS, file_system_of, network_file_system_of, read_mounts

LINUX = """\
/dev/vda / ext4 rw,relatime 0 0
proc /proc proc rw 0 0
server:/home /mnt/home nfs4 rw,vers=4.2 0 0
/dev/vdb /mnt/home/local xfs rw 0 0
//nas/share /mnt/with\\040blank cifs rw 0 0
tmpfs /srv tmpfs rw 0 0
server:/srv /srv nfs rw 0 0
"""
MACOS = """\
/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
/dev/disk3s5 on /System/Volumes/Data (apfs, local, journaled, nobrowse)
//ann@nas/share on /Volumes/on share (smbfs, nodev, nosuid, mounted by ann)
"""


@pytest.mark.parametrize(
    ("mounts", "path", "kind"),
    [
        (LINUX, "/var/store.db", "ext4"),
        (LINUX, "/mnt/home/ann/store.db", "nfs4"),
        (LINUX, "/mnt/homes/store.db", "ext4"),
        (LINUX, "/mnt/home/local/store.db", "xfs"),
        (LINUX, "/mnt/with blank/store.db", "cifs"),
        (LINUX, "/srv/store.db", "nfs"),
        (MACOS, "/private/tmp/store.db", "apfs"),
        (MACOS, "/Volumes/on share/store.db", "smbfs"),
        ("", "/var/store.db", None),
        ("nonsense\n\n", "/var/store.db", None),
    ],
)
def test_the_innermost_and_latest_mount_counts(mounts: str, path: str, kind: str | None) -> None:
    assert file_system_of(Path(path), lambda: mounts) == kind
    expected = kind if kind in NETWORK_FILE_SYSTEMS else None
    assert network_file_system_of(Path(path), lambda: mounts) == expected


def test_the_systems_own_list_names_the_file_system_of_a_local_folder(tmp_path: Path) -> None:
    assert file_system_of(tmp_path, read_mounts) is not None
    assert network_file_system_of(Path("/")) is None
