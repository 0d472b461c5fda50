"""Which files are still as their package brought them: Debian's database tells, that of rpm is not read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from migprep import root
from migprep.model import MigprepError, Unknown
from migprep.root import Root

STATUS, INFO = "/var/lib/dpkg/status", "/var/lib/dpkg/info"
RPM = ("/var/lib/rpm", "/usr/lib/sysimage/rpm")
#: Bytes that dpkg's status may have; one of 5,000 packages has 6 MB.
SIZE = 32 << 20


def origins(place: Root, paths: Iterable[str]) -> dict[str, str | Unknown]:
    """Packaged (as its package brought it), changed (edited since) or local (of no package) for each of `paths`."""
    wanted = {path: _names(place, path) for path in paths}
    try:
        sums = _sums(place, {name for names in wanted.values() for name in names})
    except MigprepError as error:
        return dict.fromkeys(wanted, Unknown(str(error)))
    if sums is None:
        why = "whether a package brought a file: rpm's database is in a form that is not read here"
        rpm = any(root.is_dir(place, folder) for folder in RPM)
        return dict.fromkeys(wanted, Unknown(why) if rpm else "local")
    return {
        path: _origin(place, path, next((sums[name] for name in names if name in sums), ""))
        for path, names in wanted.items()
    }


def _names(place: Root, path: str) -> tuple[str, ...]:
    """A path as packages may know it: with and without /usr where these are one."""
    real = root.real(place, path)
    bare = real[4:] if real.startswith("/usr/") else f"/usr{real}"
    return real, bare, path


def _sums(place: Root, names: set[str]) -> dict[str, str] | None:
    """{name: MD5 in hex} of those that a package of dpkg's brought; None where there is no dpkg."""
    status = root.read(place, STATUS, SIZE)
    if status is None:
        return None
    found = dict(_settings(status, names))
    left = {name[1:].encode("utf-8", "surrogateescape"): name for name in names if not name.startswith("/etc/")}
    if left:
        for file in place.names(INFO):
            if file.endswith(".md5sums"):
                content = root.read(place, f"{INFO}/{file}", SIZE) or b""
                found.update(_listed(content, left))
    return found


def _settings(status: bytes, names: set[str]) -> Iterator[tuple[str, str]]:
    # Conffiles:
    #  /etc/init.d/cron 8d8ea4a7ae1ac9bd2e0f4a0d2b4cd8a9
    for name in names:
        at = status.find(b"\n " + name.encode("utf-8", "surrogateescape") + b" ")
        if at >= 0:
            yield name, status[at:].split(b"\n", 2)[1].split()[1].decode("ascii", "replace")


def _listed(content: bytes, left: dict[bytes, str]) -> Iterator[tuple[str, str]]:
    # 0d1ad0f5d7f9e3b8b0a5f0a4d1d5a9c5  usr/lib/systemd/system/cron.service
    for encoded, name in left.items():
        at = content.find(b"  " + encoded + b"\n")
        if at >= 32:
            yield name, content[at - 32 : at].decode("ascii", "replace")


def _origin(place: Root, path: str, expected: str) -> str | Unknown:
    if not expected:
        return "local"
    from hashlib import md5

    try:
        content = root.read(place, path) or b""
    except MigprepError as error:
        return Unknown(str(error))
    return "packaged" if md5(content, usedforsecurity=False).hexdigest() == expected else "changed"
