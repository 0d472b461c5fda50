"""Which files are still as their package brought them, as the databases of dpkg and rpm tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from migprep import root
from migprep.model import MigprepError, Undetermined, Unknown
from migprep.root import Root

STATUS, INFO = "/var/lib/dpkg/status", "/var/lib/dpkg/info"
RPM = ("/var/lib/rpm", "/usr/lib/sysimage/rpm")
#: What a digest was made with, by its hex digits.
ALGORITHMS = {32: "md5", 40: "sha1", 64: "sha256", 96: "sha384", 128: "sha512"}
#: Bytes that dpkg's status may have; one of 5,000 packages has 6 MB.
SIZE = 32 << 20


def origins(place: Root, paths: Iterable[str]) -> dict[str, str | Unknown]:
    """Packaged (as its package brought it), changed (edited since) or local (of no package) for each of `paths`."""
    wanted = {path: _names(place, path) for path in paths}
    try:
        sums = _sums(place, {name for names in wanted.values() for name in names})
    except MigprepError as error:
        return dict.fromkeys(wanted, Unknown(str(error)))
    return {
        path: _origin(place, path, next((sums[name] for name in names if name in sums), ""))
        for path, names in wanted.items()
    }


def _names(place: Root, path: str) -> tuple[str, ...]:
    """A path as packages may know it: with and without /usr where these are one."""
    real = root.real(place, path)
    bare = real[4:] if real.startswith("/usr/") else f"/usr{real}"
    return real, bare, path


def _sums(place: Root, names: set[str]) -> dict[str, str]:
    """{name: digest in hex} of those that a package brought. Raises MigprepError."""
    status = root.read(place, STATUS, SIZE)
    if status is None:
        return _of_rpm(place, names) if any(root.is_dir(place, folder) for folder in RPM) else {}
    found = dict(_settings(status, names))
    left = {name[1:].encode("utf-8", "surrogateescape"): name for name in names if not name.startswith("/etc/")}
    if left:
        for file in place.names(INFO):
            if file.endswith(".md5sums"):
                content = root.read(place, f"{INFO}/{file}", SIZE) or b""
                found.update(_listed(content, left))
    return found


def _of_rpm(place: Root, names: set[str]) -> dict[str, str]:
    try:
        from migprep.facts import rpmdb
    except ImportError:
        raise Undetermined(
            "whether a package brought a file: this Python has no SQLite to read rpm's database"
        ) from None
    return rpmdb.digests(place, names)


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
    import hashlib

    try:
        content = root.read(place, path) or b""
        made = hashlib.new(ALGORITHMS[len(expected)], content, usedforsecurity=False).hexdigest()
    except KeyError:
        return Unknown(f"whether {path} was edited: a digest of {len(expected)} digits is not known")
    except MigprepError as error:
        return Unknown(str(error))
    return "packaged" if made == expected else "changed"
