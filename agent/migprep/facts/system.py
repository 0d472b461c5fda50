"""Which system this is: distribution, family, architecture, init, and whether it is one that can move."""

from __future__ import annotations

import os

from migprep import root
from migprep.model import Undetermined, Unknown
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

FAMILIES = {
    "debian": "debian ubuntu linuxmint raspbian devuan kali pop deepin proxmox",
    "redhat": "rhel redhat fedora centos rocky almalinux oracle ol amzn amazon scientific cloudlinux virtuozzo "
    "eurolinux miraclelinux xenserver openeuler anolis",
    "suse": "suse sles sled opensuse opensuse-leap opensuse-tumbleweed sle-micro sle_hpc",
    "arch": "arch archarm manjaro endeavouros cachyos",
}

#: e_machine of an ELF file (elf(5)) as uname(1) names it.
MACHINES = {
    3: "i686", 8: "mips", 20: "ppc", 21: "ppc64", 22: "s390x", 40: "armv7l", 43: "sparc64", 50: "ia64",
    62: "x86_64", 183: "aarch64", 243: "riscv64", 258: "loongarch64", 0x9026: "alpha",
}  # fmt: skip
PROGRAMS = ("/sbin/init", "/usr/lib/systemd/systemd", "/bin/sh", "/usr/bin/sh", "/bin/bash", "/bin/busybox")
LOADERS = {
    "/lib64/ld-linux-x86-64.so.2": "x86_64", "/usr/lib64/ld-linux-x86-64.so.2": "x86_64",
    "/lib/ld-linux-aarch64.so.1": "aarch64", "/lib64/ld64.so.2": "ppc64le", "/lib/ld64.so.1": "s390x",
    "/lib/ld-linux.so.2": "i686",
}  # fmt: skip


class System(NamedTuple):
    """The installed system. Texts are "" where there is none; `kernel` is the running one's release."""

    id: str
    like: tuple[str, ...]
    version: str
    name: str
    hostname: str
    machine: str | Unknown
    kernel: str
    init: str  # systemd, upstart, sysv, other
    container: str  # docker, podman, lxc, systemd-nspawn, openvz, wsl, chroot, other; "" for a machine of its own
    live_media: str  # what says that this system runs from an installation or live medium
    immutable: str  # ostree, nixos, snapshots: who else owns /etc or /usr; "" for nobody

    @property
    def family(self) -> str:
        """debian, redhat, suse, arch or other: who made the tools that are at hand."""
        for one in (self.id, *self.like):
            for family, members in FAMILIES.items():
                if one in members.split() or one.split("-")[0] == family:
                    return family
        return "other"

    @property
    def is_debian(self) -> bool:
        """Debian, Ubuntu or a descendant."""
        return self.family == "debian"

    @property
    def is_redhat(self) -> bool:
        """RHEL, Fedora or a descendant."""
        return self.family == "redhat"

    @property
    def is_suse(self) -> bool:
        """SLES, openSUSE or a descendant."""
        return self.family == "suse"

    @property
    def major(self) -> int:
        """The first number of the version; 0 when it has none (a rolling distribution)."""
        head = self.version.split(".")[0]
        return int(head) if head.isdecimal() else 0

    @property
    def is_container(self) -> bool:
        """Shares its kernel with a host: boot loader, kernel and disks are not its own."""
        return bool(self.container)

    @property
    def is_x86(self) -> bool:
        """32 or 64 bit x86, the only architecture that the shipped targets have."""
        return self.machine in ("x86_64", "i686", "i586", "i486", "i386")

    @property
    def is_x86_64(self) -> bool:
        """64 bit x86."""
        return self.machine == "x86_64"

    @property
    def is_immutable(self) -> bool:
        """Files outside /etc are generated or belong to an image; edits there do not last."""
        return bool(self.immutable)


def probe(facts: Facts) -> System:
    """Read the release files, /etc, and what the running kernel says. Raises Undetermined without release files."""
    place = facts.root
    known = release(facts)
    kernel = os.uname().release if place.live else kernel_release(place)
    return System(
        id=str(known["id"]), like=tuple(known["like"]), version=str(known["version"]), name=str(known["name"]),
        hostname=hostname(place), machine=machine(place), kernel=kernel, init=init(place),
        container=container(place) or ("chroot" if _is_chroot(place) else ""),
        live_media=live_media(place), immutable=immutable(place),
    )  # fmt: skip


def release_files(place: Root) -> list[str]:
    """The files that os-release(5) and older distributions name themselves in."""
    names = [name for name in place.names("/etc") if name.endswith(("-release", "_version", "-version"))]
    found = [f"/etc/{name}" for name in names]
    found.append("/usr/lib/os-release")
    stats = [(path, place.stat(path)) for path in found]
    return [path for path, stat in stats if stat and stat.kind == "file" and stat.size <= 65536]


def release(facts: Facts) -> dict[str, Any]:
    """id, like, version and name, asked of the `distro` package; kept while the release files stay as they are."""
    place = facts.root
    files = release_files(place)
    if not files:
        raise Undetermined("no /etc/os-release or other release file: which distribution this is cannot be told")
    identity: list[int] = []
    if place.live and facts.cache:
        for path in files:
            stat = place.stat(path)
            identity += [stat.inode, stat.size, stat.mtime] if stat else []
        kept = facts.cache.get("distribution", identity)
        if kept:
            return dict(kept)
    known = distribution(_content(place, "os-release"), *_release_file(place, files))
    known = known if known["id"] else _by_debian_version(place, known)
    if place.live and facts.cache:
        facts.cache.put("distribution", identity, known)
    return known


def _content(place: Root, name: str) -> str:
    return (root.text(place, f"/etc/{name}") or root.text(place, f"/usr/lib/{name}") or "")[:65536]


#: Files of that form which name no distribution, or name it less well than another file beside them.
MUTE = ("os-release", "lsb-release", "system-release", "initrd-release", "oem-release", "debian_version", "ec2_version")


def _release_file(place: Root, files: list[str]) -> tuple[str, str]:
    """(name, text) of the file that names a distribution without os-release(5); RHEL's kin have redhat-release too."""
    names = [path.rsplit("/", 1)[-1] for path in files]
    names = [name for name in names if name not in MUTE and name.endswith(("-release", "_release"))]
    name = next((one for one in names if one != "redhat-release"), names[0] if names else "")
    return name, _content(place, name) if name else ""


def distribution(os_release: str, name: str, text: str) -> dict[str, Any]:
    """id, like, version and name in os-release(5), or else in the first line of a file such as /etc/redhat-release.

    The `distro` package reads paths and nothing else; memory files give it what was read from any root.
    """
    import distro

    first, second = _in_memory(os_release), _in_memory(text)
    try:
        found = distro.LinuxDistribution(
            include_lsb=False, include_uname=False,
            os_release_file=f"/proc/self/fd/{first}", distro_release_file=f"/proc/self/fd/{second}",
        )  # fmt: skip
        version = found.os_release_attr("version_id") or found.distro_release_attr("version_id")
        plain = found.os_release_attr("name") or found.distro_release_attr("name")
        return {
            "id": found.id() or _id_of_file(name, text), "like": found.os_release_attr("id_like").split(),
            "version": version, "name": found.os_release_attr("pretty_name") or f"{plain} {version}".strip(),
        }  # fmt: skip
    except ValueError as error:  # shlex of a quote that never ends
        raise Undetermined(f"the release file cannot be understood: {error}") from None
    finally:
        os.close(first)
        os.close(second)


def _in_memory(text: str) -> int:
    try:
        descriptor = os.memfd_create("migprep")
    except (AttributeError, OSError):  # a C library before 2.27, or Linux before 3.17
        descriptor = _nameless()
    os.write(descriptor, text.encode("utf-8", "replace"))
    return descriptor


def _nameless() -> int:
    """A file that is gone already, in memory where that can be had."""
    import tempfile

    memory = "/dev/shm"  # noqa: S108  tmpfs, and the file never has a name there
    folder = memory if os.access(memory, os.W_OK) else None
    try:
        with tempfile.TemporaryFile(buffering=0, dir=folder) as stream:
            return os.dup(stream.fileno())
    except OSError as error:
        raise Undetermined(f"no room for a copy of the release file: {error.strerror or error}") from None


def _id_of_file(name: str, text: str) -> str:
    """The id that a file's name stands for: CentOS-release is centos; redhat-release may be a relative's."""
    known = name[:-8].lower()
    if known != "redhat":
        return known
    words = {
        "CentOS": "centos",
        "Scientific": "scientific",
        "Oracle": "oracle",
        "Fedora": "fedora",
        "CloudLinux": "cloudlinux",
    }
    return next((one for word, one in words.items() if word in text), "rhel")


def _by_debian_version(place: Root, known: dict[str, Any]) -> dict[str, Any]:
    """Debian 6 and older have nothing but /etc/debian_version ("6.0.10", "lenny/sid")."""
    version = root.value(place, "/etc/debian_version")
    if not version:
        return known
    return {"id": "debian", "like": [], "version": version, "name": f"Debian GNU/Linux {version}"}


def hostname(place: Root) -> str:
    """The host's name: the kernel's, else /etc/hostname, /etc/HOSTNAME (SUSE), /etc/sysconfig/network (RHEL 6)."""
    if place.live:
        return os.uname().nodename
    for path in ("/proc/sys/kernel/hostname", "/etc/hostname", "/etc/HOSTNAME"):
        for line in root.value(place, path).split("\n"):
            if line.strip() and not line.startswith("#"):
                return line.strip()
    for line in root.value(place, "/etc/sysconfig/network").split("\n"):
        if line.startswith("HOSTNAME="):
            return line[9:].strip().strip("\"'")
    return ""


def kernel_release(place: Root) -> str:
    """The release of the kernel that ran when this root was captured, or ""."""
    found = root.value(place, "/proc/sys/kernel/osrelease")
    # Linux version 6.1.0-18-amd64 (debian-kernel@lists.debian.org) (gcc-12 …
    words = root.value(place, "/proc/version").split()
    return found or (words[2] if len(words) > 2 and words[:2] == ["Linux", "version"] else "")


def machine(place: Root) -> str | Unknown:
    """The architecture: the kernel's word, else the ELF header of a program that every system has."""
    if place.live:
        return os.uname().machine
    found = root.value(place, "/proc/sys/kernel/arch")  # since Linux 6.1
    if found:
        return found
    for path in PROGRAMS:
        stat = place.stat(path)
        if stat and stat.kind == "file":
            with place.open(path) as stream:
                found = elf_machine(stream.read(20))
            if found:
                return found
    for path, name in LOADERS.items():
        if root.exists(place, path):
            return name
    flags = root.value(place, "/proc/cpuinfo").partition("\nflags")[2].split("\n")[0].split()
    if flags:
        return "x86_64" if "lm" in flags else "i686"
    return Unknown("no program and no /proc/cpuinfo: which architecture this is cannot be told")


def elf_machine(header: bytes) -> str:
    """The architecture that the first 20 bytes of an ELF file name (elf(5)), or "" when it is none."""
    if len(header) < 20 or header[:4] != b"\x7fELF":
        return ""
    order = "big" if header[5] == 2 else "little"
    name = MACHINES.get(int.from_bytes(header[18:20], order), "other")  # type: ignore[arg-type]
    if name == "ppc64" and order == "little":
        return "ppc64le"
    return "s390" if name == "s390x" and header[4] == 1 else name


def init(place: Root) -> str:
    """Which program is process 1 when this system boots."""
    program = root.real(place, "/sbin/init")
    if program.endswith("/systemd"):
        return "systemd"
    if root.exists(place, "/sbin/upstart") or root.glob(place, "/etc/init/rc*.conf"):
        return "upstart"
    if root.exists(place, "/etc/inittab") or root.is_dir(place, "/etc/rc2.d") or root.is_dir(place, "/etc/rc.d/rc3.d"):
        # systemd keeps these for compatibility, but not without being there itself
        systemd = any(root.exists(place, path) for path in ("/usr/lib/systemd/systemd", "/lib/systemd/systemd"))
        return "systemd" if systemd and not root.exists(place, "/sbin/init") else "sysv"
    if any(
        root.is_dir(place, path) for path in ("/usr/lib/systemd/system", "/lib/systemd/system", "/etc/systemd/system")
    ):
        return "systemd"
    return "other"


def container(place: Root) -> str:
    """The container manager this system runs under, "" for none (what systemd-detect-virt -c looks at)."""
    named = root.value(place, "/run/systemd/container") or _environment(place)
    if named:
        return named
    if root.exists(place, "/run/.containerenv"):
        return "podman"
    if root.is_dir(place, "/proc/vz") and not root.is_dir(place, "/proc/bc"):
        return "openvz"
    if "microsoft" in root.value(place, "/proc/sys/kernel/osrelease").lower():
        return "wsl"
    # A machine made from a container image keeps the marker; but then it has kernel threads of its own.
    if root.exists(place, "/.dockerenv") and root.value(place, "/proc/2/comm") != "kthreadd":
        return "docker"
    return ""


def _environment(place: Root) -> str:
    for one in root.value(place, "/proc/1/environ").split("\0"):
        if one.startswith("container="):
            return one[10:] or "other"
    return ""


def _is_chroot(place: Root) -> bool:
    """Whether this is a folder of a running machine, or was when it was captured; a tree is no chroot of anything."""
    from migprep.facts.observed import observed

    try:
        return bool(observed(place, "chroot"))
    except Undetermined:
        return False


def live_media(place: Root) -> str:
    """What tells that the running system is no installed one: a kernel argument, a folder, a root that forgets.

    Diskless systems (a root in memory or on a squashfs) have nothing on a disk that could be judged.
    """
    for word in root.value(place, "/proc/cmdline").split():
        if word in ("boot=live", "boot=casper", "rd.live.image", "archisobasedir") or word.startswith(
            ("root=live:", "archisobasedir=", "iso-scan/")
        ):
            return word
    for path in ("/run/live/medium", "/run/initramfs/live", "/cdrom/casper"):
        if root.is_dir(place, path):
            return path
    for line in root.value(place, "/proc/1/mounts").split("\n"):
        # overlay / overlay rw,lowerdir=… 0 0
        words = line.split(" ")
        if words[1:2] == ["/"] and words[0] != "rootfs" and words[2] in ("squashfs", "iso9660", "tmpfs", "ramfs"):
            return f"a root filesystem of type {words[2]}"
    return ""


#: A path that only systems have whose files belong to an image, a store or a build, and what to call it.
OWNERS = (
    ("/run/ostree-booted", "ostree"), ("/ostree/repo", "ostree"), ("/etc/NIXOS", "nixos"),
    ("/run/current-system/configuration.scm", "guix"), ("/usr/share/flatcar", "flatcar"),
    ("/usr/share/coreos", "coreos"), ("/etc/bottlerocket-release", "bottlerocket"), ("/etc/vyos-release", "vyos"),
    ("/opt/vyatta/etc/config", "vyos"), ("/etc/openwrt_release", "openwrt"), ("/usr/share/ublue-os", "ostree"),
)  # fmt: skip


def immutable(place: Root) -> str:
    """Who else owns the system's files: ostree, nixos, snapshots (transactional-update); "" for nobody."""
    for path, owner in OWNERS:
        if root.exists(place, path):
            return owner
    mounts = root.value(place, "/proc/mounts")
    if root.exists(place, "/usr/sbin/transactional-update") and " / btrfs ro" in mounts:
        return "snapshots"
    if "overlay / overlay " in mounts or "overlayroot / overlay " in mounts:
        return "an overlay that forgets at every boot"
    return ""
