"""Which system this is: families old and new, architecture, init, containers; and its identity without secrets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from migprep.cache import Cache
from migprep.facts import Facts, system
from migprep.model import Unknown
from migprep.root import Files, Tree

CORPUS = Path(os.environ.get("MIGPREP_CORPUS", "/nonexistent"))


def _system(files: dict[str, bytes | str]) -> system.System:
    found = Facts(Files(files)).system
    assert not isinstance(found, Unknown)
    return found


@pytest.mark.parametrize(
    ("path", "text", "name", "family", "major"),
    [
        ("/etc/os-release", 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="22.04"', "ubuntu", "debian", 22),
        ("/usr/lib/os-release", 'ID=fedora\nVERSION_ID=41', "fedora", "redhat", 41),
        ("/etc/os-release", 'ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"', "opensuse-tumbleweed", "suse", 0),
        ("/etc/os-release", 'ID="sles"\nVERSION_ID="15.6"', "sles", "suse", 15),
        ("/etc/os-release", 'ID="ol"\nVERSION_ID="8.9"', "ol", "redhat", 8),
        ("/etc/os-release", "ID=arch", "arch", "arch", 0),
        ("/etc/os-release", 'ID=pop\nID_LIKE="ubuntu debian"\nVERSION_ID="22.04"', "pop", "debian", 22),
        ("/etc/redhat-release", "Red Hat Enterprise Linux Server release 5.11 (Tikanga)", "rhel", "redhat", 5),
        ("/etc/centos-release", "CentOS release 6.10 (Final)", "centos", "redhat", 6),
        ("/etc/SuSE-release", "SUSE Linux Enterprise Server 11 (x86_64)\nVERSION = 11\nPATCHLEVEL = 4", "suse", "suse", 11),
        ("/etc/debian_version", "6.0.10", "debian", "debian", 6),
    ],
)  # fmt: skip
def test_distribution(path: str, text: str, name: str, family: str, major: int) -> None:
    found = _system({path: f"{text}\n".encode()})
    assert (found.family, found.major) == (family, major)
    assert found.id in (name, "oracle")


def test_a_link_to_the_release_file_is_followed() -> None:
    assert _system({"/etc/os-release": "../usr/lib/os-release", "/usr/lib/os-release": b"ID=debian\n"}).id == "debian"


def test_no_release_file_is_unknown() -> None:
    assert isinstance(Facts(Files({"/etc/hostname": b"x"})).system, Unknown)


DEBIAN: dict[str, bytes | str] = {"/etc/os-release": b"ID=debian\nVERSION_ID=12\n"}


def _elf(machine: int, order: int = 1, width: int = 2) -> bytes:
    return (
        b"\x7fELF"
        + bytes([width, order])
        + bytes(12)
        + machine.to_bytes(2, "little" if order == 1 else "big")
        + b"rest"
    )


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (_elf(62), "x86_64"), (_elf(3, width=1), "i686"), (_elf(183), "aarch64"), (_elf(22, 2), "s390x"), (_elf(22, 2, 1), "s390"),
        (_elf(21, 2), "ppc64"), (_elf(21), "ppc64le"), (_elf(999), "other"), (b"#!/bin/sh\n", ""), (b"", ""),
    ],
)  # fmt: skip
def test_architecture_of_a_program(header: bytes, name: str) -> None:
    assert system.elf_machine(header[:20]) == name


def test_architecture_of_a_root() -> None:
    assert _system({**DEBIAN, "/bin/sh": _elf(183)}).machine == "aarch64"
    assert _system({**DEBIAN, "/lib64/ld-linux-x86-64.so.2": b""}).is_x86_64
    assert _system({**DEBIAN, "/proc/cpuinfo": b"processor\t: 0\nflags\t\t: fpu lm\n"}).is_x86_64
    assert isinstance(_system(DEBIAN).machine, Unknown)


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"/sbin/init": "/lib/systemd/systemd", "/etc/inittab": b""}, "systemd"),
        ({"/sbin/init": b"", "/etc/init/rc-sysinit.conf": b"", "/etc/inittab": b""}, "upstart"),
        ({"/sbin/init": b"", "/etc/inittab": b""}, "sysv"),
        ({"/etc/systemd/system/x": b""}, "systemd"),
        ({}, "other"),
    ],
)
def test_init(files: dict[str, bytes | str], name: str) -> None:
    assert _system({**DEBIAN, **files}).init == name


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({}, ""),
        ({"/run/systemd/container": b"systemd-nspawn\n"}, "systemd-nspawn"),
        ({"/run/.containerenv": b""}, "podman"),
        ({"/.dockerenv": b""}, "docker"),
        ({"/.dockerenv": b"", "/proc/2/comm": b"kthreadd\n"}, ""),
        ({"/proc/1/environ": b"A=b\0container=lxc\0"}, "lxc"),
        ({"/proc/vz/x": b""}, "openvz"),
        ({"/proc/vz/x": b"", "/proc/bc/x": b""}, ""),
        ({"/proc/sys/kernel/osrelease": b"5.15.0-microsoft-standard-WSL2\n"}, "wsl"),
    ],
)
def test_container(files: dict[str, bytes | str], name: str) -> None:
    assert _system({**DEBIAN, **files}).container == name


def test_hostname() -> None:
    assert _system({**DEBIAN, "/etc/hostname": b"# comment\nweb1\n"}).hostname == "web1"
    assert _system({**DEBIAN, "/etc/sysconfig/network": b"NETWORKING=yes\nHOSTNAME=web2\n"}).hostname == "web2"


def test_kernel_release() -> None:
    assert (
        system.kernel_release(Files({"/proc/version": b"Linux version 6.1.0-18-amd64 (x@y) (gcc)\n"}))
        == "6.1.0-18-amd64"
    )
    assert system.kernel_release(Files({})) == ""


def test_this_machine(tmp_path: Path) -> None:
    """Live, kept, and as a plain directory: the same distribution."""
    if not os.path.exists("/etc/os-release"):
        pytest.skip("no /etc/os-release here")
    kept = Cache(str(tmp_path))
    first = system.release(Facts(Tree("/", live=True), kept))
    assert os.listdir(tmp_path)
    assert system.release(Facts(Tree("/", live=True), kept)) == first
    assert system.release(Facts(Tree("/"))) == first


@pytest.mark.skipif(not CORPUS.is_dir(), reason="no corpus here")
def test_real_trees() -> None:
    for path in sorted((CORPUS / "trees").iterdir()):
        found = Facts(Tree(str(path))).system
        if (path / "etc/SuSE-release").exists():
            assert not isinstance(found, Unknown) and found.is_suse
        else:
            assert isinstance(found, Unknown)


def test_the_distribution_is_told_without_files_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux before 3.17 has no memfd_create(2), and a C library before 2.27 does not know it."""
    monkeypatch.delattr("os.memfd_create")
    found = _system({"/etc/os-release": b'ID=debian\nVERSION_ID="12"\n'})
    assert (found.id, found.version) == ("debian", "12")


@pytest.mark.parametrize(("told", "name"), [(b"true", "chroot"), (b"false", "")])
def test_a_chroot_is_told_by_its_capture_too(told: bytes, name: str) -> None:
    assert _system({**DEBIAN, "/migprep/observed/chroot.json": told}).container == name
