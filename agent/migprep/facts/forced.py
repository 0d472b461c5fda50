"""Modules that a file has loaded at every boot and that only one maker's hardware can serve."""

from __future__ import annotations

import re
from collections.abc import Iterator

from migprep import root
from migprep.root import Root
from migprep.typed import NamedTuple

#: Modules that serve one vendor's processor or board, and what they need.
BOUND_MODULES = {
    "kvm_intel": "an Intel CPU with nested virtualization", "kvm_amd": "an AMD CPU with nested virtualization",
    "intel_rapl": "an Intel CPU's energy counters", "intel_rapl_msr": "an Intel CPU's energy counters",
    "intel_rapl_common": "an Intel CPU's energy counters", "intel_powerclamp": "an Intel CPU's sleep states",
    "intel_uncore_frequency": "an Intel CPU's registers", "x86_pkg_temp_thermal": "an Intel CPU's temperature sensor",
    "coretemp": "an Intel CPU's temperature sensor", "k8temp": "an AMD CPU's temperature sensor",
    "k10temp": "an AMD CPU's temperature sensor", "fam15h_power": "an AMD CPU's power sensor",
    "amd_energy": "an AMD CPU's energy counters", "amd64_edac": "an AMD memory controller",
    "amd64_edac_mod": "an AMD memory controller", "sb_edac": "an Intel memory controller",
    "skx_edac": "an Intel memory controller", "i10nm_edac": "an Intel memory controller",
    "ie31200_edac": "an Intel memory controller", "i7core_edac": "an Intel memory controller",
    "i2c_i801": "an Intel chipset", "i2c_piix4": "an AMD chipset", "iTCO_wdt": "an Intel chipset's watchdog",
    "sp5100_tco": "an AMD chipset's watchdog", "acpi_cpufreq": "a CPU whose frequency can be set",
    "powernow_k8": "an AMD CPU whose frequency can be set", "padlock_aes": "a VIA CPU", "via_cputemp": "a VIA CPU",
}  # fmt: skip
# coretemp      # what follows is a comment: modules(5), modules-load.d(5)
LISTED = re.compile(r"^\s*([^\s#;]+)")
# MODULES_LOADED_ON_BOOT="loop k10temp"
ASSIGNED = re.compile(r"^\s*MODULES_LOADED_ON_BOOT=[\"']?([^\"'#]*)")
# [ -c /dev/input/uinput ] || /sbin/modprobe -q coretemp >/dev/null 2>&1
CALLED = re.compile(r"^[^#]*\b(?:modprobe|insmod)\s+(?:-\w+\s+)*([\w-]+)")
#: SUSE to release 12, and the scripts that Red Hat to release 7 runs.
SUSE = "/etc/sysconfig/kernel"
FOLDERS = (("/etc/modules-load.d", ".conf", LISTED), ("/etc/sysconfig/modules", ".modules", CALLED))


class ForcedModule(NamedTuple):
    """A module that a file has loaded at every boot and that only some hardware can serve."""

    path: str
    line: int
    name: str
    needs: str


def modules(place: Root) -> Iterator[ForcedModule]:
    """Those of BOUND_MODULES that are loaded at every boot. Raises Unreadable."""
    for path, pattern in _loaders(place):
        for number, line in enumerate((root.text(place, path) or "").split("\n"), 1):
            found = pattern.match(line)
            for name in found.group(1).replace("-", "_").split() if found else ():
                if name in BOUND_MODULES:
                    yield ForcedModule(path, number, name, BOUND_MODULES[name])


def _loaders(place: Root) -> Iterator[tuple[str, re.Pattern[str]]]:
    """Each file that has modules loaded, and how its lines name them."""
    yield "/etc/modules", LISTED
    yield SUSE, ASSIGNED
    for folder, end, pattern in FOLDERS:
        for name in place.names(folder):
            if name.endswith(end):
                yield f"{folder}/{name}", pattern
