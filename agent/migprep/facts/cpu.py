"""The processor: vendor, flags, x86-64 level, what the system demands of it, and what is bound to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from migprep import root
from migprep.facts import forced
from migprep.facts.forced import ForcedModule
from migprep.model import MigprepError, Undetermined, Unknown
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, Callable, NamedTuple, TypeVar

if TYPE_CHECKING:
    from migprep.facts import Facts
    from migprep.facts.system import System

T = TypeVar("T")

#: Flags of /proc/cpuinfo that each x86-64 level adds (x86-64 psABI, "Micro-Architecture Levels"); of a tuple, any.
#: SSE3 is called pni; LZCNT is called abm; OSXSAVE has no flag of its own: xsave is hidden when it is off.
LEVELS: dict[int, tuple[tuple[str, ...], ...]] = {
    1: (("lm",), ("cmov",), ("cx8",), ("fpu",), ("fxsr",), ("mmx",), ("syscall",), ("sse",), ("sse2",)),
    2: (("cx16",), ("lahf_lm",), ("popcnt",), ("sse4_1",), ("sse4_2",), ("ssse3",), ("pni", "sse3")),
    3: (
        ("avx",), ("avx2",), ("bmi1",), ("bmi2",), ("f16c",), ("fma",), ("abm", "lzcnt"), ("movbe",),
        ("xsave", "osxsave"),
    ),
    4: (("avx512f",), ("avx512bw",), ("avx512cd",), ("avx512dq",), ("avx512vl",)),
}  # fmt: skip

#: The smallest CPU models of QEMU that offer a level (qemu-cpu-models(7), ABI compatibility levels).
MODELS = {
    "Intel": {1: "qemu64", 2: "Nehalem", 3: "Haswell-noTSX", 4: "Skylake-Server"},
    "AMD": {1: "qemu64", 2: "Opteron_G4", 3: "EPYC", 4: "EPYC-Genoa"},
}

VENDORS = {
    "GenuineIntel": "Intel", "AuthenticAMD": "AMD", "HygonGenuine": "Hygon", "CentaurHauls": "Centaur",
    "IBM/S390": "IBM", "0x41": "ARM", "0x43": "Cavium", "0x48": "HiSilicon", "0x4e": "NVIDIA", "0x51": "Qualcomm",
    "0x50": "APM", "0x61": "Apple", "0xc0": "Ampere", "0x42": "Broadcom", "0x53": "Samsung",
}  # fmt: skip

#: Settings by which a whole system is compiled, or picked from what was: Gentoo, Arch and what comes from it.
BUILD_FILES = ("/etc/portage/make.conf", "/etc/make.conf", "/etc/makepkg.conf", "/etc/pacman.conf")
#: Settings for what is compiled here besides: packages of one's own, and whatever a shell starts.
OWN_BUILDS = (
    "/etc/dpkg/buildflags.conf", "/root/.config/dpkg/buildflags.conf", "/etc/rpm/macros", "/root/.rpmmacros",
    "/etc/rpmrc", "/root/.rpmrc", "/root/.makepkg.conf", "/root/.config/pacman/makepkg.conf", "/etc/environment",
    "/etc/mk.conf", "/root/.cargo/config.toml", "/root/.config/go/env",
)  # fmt: skip
#: Folders of more of them, each with how a name in it begins and ends; those of the whole system first.
BUILD_FOLDERS = (("/etc/portage/make.conf", "", ""), ("/etc/portage/env", "", ""), ("/etc/makepkg.conf.d", "", ".conf"))
OWN_FOLDERS = (("/etc/rpm", "macros.", ""), ("/etc/profile.d", "", ".sh"))
# -march=native (gcc), -C target-cpu=native (rustc), GOAMD64=v3 (go), Architecture = x86_64 x86_64_v3 (pacman)
MARCH = re.compile(
    r"-march=[\"']?([\w.+-]*)|target-cpu=[\"']?([\w.+-]*)|\bGOAMD64=[\"']?(v[1-4])|^Architecture\s*=.*(x86_64_v[234])"
)


class Build(NamedTuple):
    """A line that says for which processor this system's programs are compiled; `march` as gcc(1) takes it."""

    path: str
    line: int
    text: str
    march: str
    is_whole: bool = True  # the whole system is compiled so, not only what somebody compiles besides

    @property
    def level(self) -> int:
        """The x86-64 level of `march`; 5 for one processor model or "native", which no level describes."""
        if self.march in ("x86-64", "generic", "x86_64"):
            return 1
        head, _, number = self.march.replace("_", "-").rpartition("v")
        return int(number) if head in ("x86-64-", "") and number.isdecimal() else 5


class Library(NamedTuple):
    """A library that is there for newer processors alone; `level` is the least x86-64 level that has one."""

    path: str
    level: int

    @property
    def name(self) -> str:
        """What programs ask the loader for."""
        return _soname(self.path.rpartition("/")[2])

    @property
    def level_name(self) -> str:
        """x86-64-v3."""
        return f"x86-64-v{self.level}"


def _known(found: tuple[T, ...] | Unknown) -> tuple[T, ...]:
    if isinstance(found, Unknown):
        raise Undetermined(found.reason)
    return found


class Cpu(NamedTuple):
    """The processors of this machine; `flags` are those that all of them have."""

    architecture: str  # x86, arm, power, s390, mips, riscv, sparc, alpha, ia64, loongarch, other
    vendor: str
    model: str
    processors: int
    flags: frozenset[str]
    required: int | Unknown = 1  # x86-64 level that the installed system cannot run without
    required_by: str = ""  # what says so: a path, or the distribution
    forced: tuple[ForcedModule, ...] | Unknown = ()
    compiled: tuple[Build, ...] | Unknown = ()
    alone: tuple[Library, ...] | Unknown = ()

    @property
    def lone_libraries(self) -> tuple[Library, ...]:
        """Libraries of which there is no form for every processor. Raises Undetermined."""
        return _known(self.alone)

    @property
    def modules(self) -> tuple[ForcedModule, ...]:
        """Modules loaded at every boot that only some hardware can serve. Raises Undetermined."""
        return _known(self.forced)

    @property
    def builds(self) -> tuple[Build, ...]:
        """What this system's programs are compiled for. Raises Undetermined."""
        return _known(self.compiled)

    @property
    def level(self) -> int:
        """The x86-64 level, 1 to 4; 0 when this is no x86-64 processor."""
        level = 0
        for number, needed in LEVELS.items():
            if not all(any(name in self.flags for name in names) for names in needed):
                break
            level = number
        return level if self.architecture == "x86" else 0

    @property
    def level_name(self) -> str:
        """x86-64-v3; "" when this is no x86-64 processor."""
        return f"x86-64-v{self.level}" if self.level else ""

    @property
    def required_name(self) -> str:
        """The level that the system needs, as people call it."""
        return f"x86-64-v{self.required}"

    @property
    def pool_model(self) -> str:
        """The smallest QEMU CPU model that keeps this level."""
        maker = "AMD" if self.vendor in ("AMD", "Hygon") else "Intel"
        return MODELS[maker].get(self.level, "")

    @property
    def needed_model(self) -> str:
        """The smallest QEMU CPU model with which the installed system itself runs. Raises Undetermined."""
        if isinstance(self.required, Unknown):
            raise Undetermined(self.required.reason)
        return MODELS["AMD" if self.vendor in ("AMD", "Hygon") else "Intel"].get(max(self.required, 1), "")

    @property
    def pool_flags(self) -> str:
        """The flags beyond level 1 that each host of a pool must offer to keep this level, sorted."""
        return " ".join(sorted(names[0] for number in range(2, self.level + 1) for names in LEVELS[number]))

    @property
    def pool_losses(self) -> str:
        """What a host of each lesser level takes away from every machine of the pool."""
        told = [
            f"x86-64-v{number - 1} takes away {' '.join(sorted(names[0] for names in LEVELS[number]))}"
            for number in range(self.level, 1, -1)
        ]
        return ", and one of ".join(told)

    @property
    def has_aes(self) -> bool:
        """Whether the processor itself does AES."""
        return "aes" in self.flags


def probe(facts: Facts) -> Cpu:
    """Read /proc/cpuinfo, the C library's demand and the files that bind to a CPU. Raises Undetermined."""
    text = root.text(facts.root, "/proc/cpuinfo")
    if not text or not text.strip():
        raise Undetermined("no /proc/cpuinfo: which processor this is cannot be told")
    found = parse(text)
    required, by = demand(facts, found)
    place = facts.root
    modules, compiled, alone = _told(place, forced.modules), _told(place, builds), _told(place, lone_libraries)
    return found._replace(required=required, required_by=by, forced=modules, compiled=compiled, alone=alone)


def _told(place: Root, of: Callable[[Root], Iterable[T]]) -> tuple[T, ...] | Unknown:
    try:
        return tuple(of(place))
    except MigprepError as error:
        return Unknown(str(error))


def parse(text: str) -> Cpu:
    """What /proc/cpuinfo of any architecture says. Every port has its own words; see the kernel's show_cpuinfo."""
    first: dict[str, str] = {}
    flag_lines: set[str] = set()
    count = 0
    for line in text.split("\n"):
        key, colon, value = line.partition(":")
        if not colon:
            continue
        key = key.strip().lower()
        if key in ("flags", "features"):
            flag_lines.add(value)
        elif (key == "processor" and value.strip().isdecimal()) or (key[:10] == "processor " and key[10:].isdecimal()):
            count += 1
        first.setdefault(key, value.strip())
    sets = [frozenset(line.split()) for line in flag_lines]
    vendor = _first(first, "vendor_id", "vendor", "cpu implementer").split(",")[0]
    return Cpu(
        architecture=_architecture(first),
        vendor=VENDORS.get(vendor, vendor),
        model=_first(first, "model name", "cpu model", "cpu", "uarch", "hardware", "machine", "cpu part"),
        processors=count or _counted(first),
        flags=frozenset.intersection(*sets) if sets else frozenset(first.get("isa", "").split()),
    )


def _first(known: dict[str, str], *keys: str) -> str:
    return next((known[key] for key in keys if known.get(key)), "")


def _counted(known: dict[str, str]) -> int:
    """Processors where no line counts them: alpha "cpus active", sparc "ncpus active", s390 "# processors"."""
    for key in ("cpus active", "cpus detected", "ncpus active", "ncpus probed", "# processors"):
        if known.get(key, "").isdecimal():
            return int(known[key])
    return 1


def _architecture(known: dict[str, str]) -> str:
    """The architecture, by words that only its /proc/cpuinfo has."""
    signs = {
        "# processors": "s390", "cpu implementer": "arm", "ncpus probed": "sparc", "cpu regs": "ia64",
        "cycle frequency [hz]": "alpha", "tlb_entries": "mips", "vced exceptions": "mips", "isa": "riscv",
    }  # fmt: skip
    if "loongarch" in (known.get("isa", "") + known.get("cpu family", "") + known.get("system type", "")).lower() or (
        "loongson-64bit" in known.get("cpu family", "").lower()
    ):
        return "loongarch"
    for key, name in signs.items():
        if key in known:
            return name
    if known.get("cpu", "").startswith(("POWER", "PPC", "7", "e5", "e6")) or "timebase" in known:
        return "power"
    if known.get("processor", "").startswith(("ARM", "AArch64")) or "features" in known:
        return "arm"
    return "x86" if "flags" in known or "cpuid level" in known or "vendor_id" in known else "other"


def demand(facts: Facts, found: Cpu) -> tuple[int | Unknown, str]:
    """The x86-64 level without which the C library ends every program, and what says so."""
    if found.architecture != "x86":
        return 1, ""
    for path in LIBC:
        level = needed_level(facts.root, path)
        if level > 1:
            return level, path
    system = facts.system
    if isinstance(system, Unknown):
        return system, ""
    return distribution_level(system, found.level), system.name


LIBC = ("/lib64/libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/libc.so.6")


def needed_level(place: Root, path: str) -> int:
    """The x86-64 level that an ELF file is marked with; 0 when it is not there or not marked."""
    stat = place.stat(path)
    if not stat or stat.kind != "file":
        return 0
    with place.open(path) as stream:
        return isa_needed(stream.read(4096))


def isa_needed(head: bytes) -> int:
    """The level in GNU_PROPERTY_X86_ISA_1_NEEDED of a little-endian 64 bit ELF file's first bytes; 0 when unmarked.

    See "Program Property" in the x86-64 psABI; `readelf -n` shows it as "x86 ISA needed: x86-64-v2".
    """
    if head[:6] != b"\x7fELF\x02\x01":
        return 0

    def number(at: int, size: int) -> int:
        return int.from_bytes(head[at : at + size], "little")

    start, size, many = number(32, 8), number(54, 2), number(56, 2)
    for index in range(min(many, 64)):
        entry = start + index * size
        if number(entry, 4) != 0x6474E553:  # PT_GNU_PROPERTY
            continue
        at = number(entry + 8, 8) + 16  # behind the note's header and its name GNU
        end = min(at + number(entry + 32, 8), len(head))
        while at + 8 <= end:
            kind, length = number(at, 4), number(at + 4, 4)
            if kind == 0xC0008002:
                return number(at + 8, 4).bit_length()
            at += 8 + (length + 7) // 8 * 8
    return 0


def distribution_level(system: System, level: int) -> int:
    """The level that a distribution is built for, where its C library could not be asked.

    RHEL 9 and its kin: 2; RHEL 10 and CentOS Stream 10: 3; AlmaLinux 10 is built for both, so that the processor it
    runs on tells; SLES, SLE Micro and openSUSE Leap 16: 2 ("Key Differences Between SUSE Linux Enterprise 15 and
    16", table 1; what it brings for level 3 are further forms of libraries, which the loader chooses or leaves;
    Tumbleweed does the same from level 1); Clear Linux: 2. Fedora, Debian, Ubuntu, Arch and Amazon Linux: 1.
    """
    name, major = system.id, system.major
    if name in ("rhel", "centos", "rocky", "almalinux", "oracle", "ol", "eurolinux", "miraclelinux", "cloudlinux"):
        if major < 9:
            return 1
        if major == 9 or (name == "almalinux" and level == 2):
            return 2
        return 3
    if name in ("sles", "sled", "sles_sap", "opensuse", "opensuse-leap", "sle_hpc") and 16 <= major < 42:
        return 2  # openSUSE Leap 42 came before 15
    if name in ("sle-micro", "sl-micro", "opensuse-leap-micro") and major >= 6:
        return 2
    return 2 if name == "clear-linux-os" else 1


def builds(place: Root) -> Iterator[Build]:
    """Lines that say for which processor is compiled what is compiled here."""
    for paths, folders, is_whole in ((BUILD_FILES, BUILD_FOLDERS, True), (OWN_BUILDS, OWN_FOLDERS, False)):
        inside = [
            f"{folder}/{name}"
            for folder, start, end in folders
            for name in place.names(folder)
            if name.startswith(start) and name.endswith(end)
        ]
        for path in (*paths, *inside):
            if not root.is_dir(place, path):
                yield from marches(path, root.text(place, path) or "", is_whole)


def marches(path: str, text: str, is_whole: bool = True) -> Iterator[Build]:
    """Every line of `text`, comments apart, that names a processor to compile for."""
    for number, line in enumerate(text.split("\n"), 1):
        found = MARCH.search(line.partition("#")[0])
        if found:
            yield Build(path, number, line.strip(), next((one for one in found.groups() if one), ""), is_whole)


HWCAPS = "glibc-hwcaps"
#: Folders of libraries that the loader knows by itself, or that ld.so.conf names on every system (ld.so(8)).
LIBRARIES = (
    "/usr/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib", "/lib64", "/lib/x86_64-linux-gnu", "/lib",
    "/usr/local/lib64", "/usr/local/lib", "/usr/local/lib/x86_64-linux-gnu",
)  # fmt: skip


def lone_libraries(place: Root) -> Iterator[Library]:
    """Libraries below glibc-hwcaps (ld.so(8)) of which the folder above, or any other, has no form for all."""
    found: dict[str, Library] = {}
    for folder in LIBRARIES:
        for step in place.names(f"{folder}/{HWCAPS}"):
            level = step.removeprefix("x86-64-v")
            for name in place.names(f"{folder}/{HWCAPS}/{step}") if level in ("2", "3", "4") else ():
                one = Library(f"{folder}/{HWCAPS}/{step}/{name}", int(level))
                if ".so" in name and one.level < found.get(one.name, one._replace(level=9)).level:
                    found[one.name] = one
    for one in found.values():
        if not any(root.exists(place, f"{folder}/{one.name}") for folder in LIBRARIES):
            yield one


def _soname(name: str) -> str:
    """libz.so.1 of libz.so.1.3.1: the link that ldconfig makes for what programs ask for."""
    found = re.match(r".+?\.so(?:\.\d+)?", name)
    return found.group() if found else name
