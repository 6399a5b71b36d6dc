# Copyright: (c) 2026, the asgi.deploy authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""POSIX access control lists, read and written as extended attributes, so that hosts need no package for them. See acl(5)."""

from __future__ import annotations

import errno
import os
import stat
import struct

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
READ, WRITE, EXECUTE = 4, 2, 1

_VERSION = 2
_ENTRY = struct.Struct("<HHI")
_OWNER, _USER, _OWNING_GROUP, _GROUP, _MASK, _OTHER = 1, 2, 4, 8, 16, 32
_NO_ID = 0xFFFFFFFF
_NO_LIST = (errno.ENODATA, errno.ENOTSUP)

# Permissions by (tag, id).
Acl = dict


def of_mode(mode: int) -> Acl:
    """Return the list that is equivalent to the permission bits of *mode*."""
    return {
        (_OWNER, _NO_ID): mode >> 6 & 7,
        (_OWNING_GROUP, _NO_ID): mode >> 3 & 7,
        (_OTHER, _NO_ID): mode & 7,
    }


def read(file: int, kind: str = ACCESS) -> Acl | None:
    """Return the access control list of the open *file*, or None if it has none or its file system does not support them."""
    try:
        packed = os.getxattr(file, kind)
    except OSError as exc:
        if exc.errno in _NO_LIST:
            return None
        raise
    found = (_ENTRY.unpack_from(packed, at) for at in range(4, len(packed), _ENTRY.size))
    return {(tag, number): permissions for tag, permissions, number in found}


def permissions_of(acl: Acl | None, uid: int) -> int:
    """Return the effective permissions that *acl* grants the user *uid* through a separate entry."""
    if acl is None:
        return 0
    return acl.get((_USER, uid), 0) & acl.get((_MASK, _NO_ID), 7)


def granting(acl: Acl, uid: int, permissions: int) -> Acl:
    """Return *acl* with exactly these *permissions* for the user *uid*; 0 removes the user's entry."""
    found = {key: value for key, value in acl.items() if key not in ((_USER, uid), (_MASK, _NO_ID))}
    if permissions:
        found[_USER, uid] = permissions
    # Without a mask, the entries of a file that was restricted with chmod would become effective again.
    limit = acl.get((_MASK, _NO_ID), 7)
    listed = {key: value & limit for key, value in found.items() if key[0] in (_USER, _OWNING_GROUP, _GROUP)}
    if permissions:
        listed[_USER, uid] = permissions
    found.update(listed)
    if any(tag in (_USER, _GROUP) for tag, _number in found):
        mask = 0
        for value in listed.values():
            mask |= value
        found[_MASK, _NO_ID] = mask
    return found


def write(file: int, acl: Acl, kind: str = ACCESS) -> None:
    """Replace one of the two access control lists of the open *file*."""
    entries = (_ENTRY.pack(tag, permissions, number) for (tag, number), permissions in sorted(acl.items()))
    os.setxattr(file, kind, struct.pack("<I", _VERSION) + b"".join(entries))


def grant(file: int, uid: int, permissions: int, kind: str = ACCESS) -> bool:
    """Give the user *uid* exactly these *permissions* for the open *file*; return whether they differed.

    With DEFAULT, the permissions apply to files that are created in the directory *file*.
    """
    current = read(file, kind)
    if current is None:
        if not permissions:
            return False
        current = of_mode(stat.S_IMODE(os.fstat(file).st_mode))
    elif permissions_of(current, uid) == permissions and ((_USER, uid) in current) == bool(permissions):
        return False
    write(file, granting(current, uid, permissions), kind)
    return True
