"""Who this machine is: its DMI texts, its memory, and whether it has a machine-id, which itself is never told."""

from __future__ import annotations

from migprep import root
from migprep.model import Undetermined
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

FOLDER = "/sys/class/dmi/id"


class Identity(NamedTuple):
    """DMI texts are "" on a machine without DMI. `machine_id`: present, empty (set at next boot) or absent."""

    vendor: str
    product: str
    version: str
    board: str
    bios_vendor: str
    bios_version: str
    machine_id: str
    uuid: str = ""  # only root may read this and the serial number
    serial: str = ""
    memory: int = 0  # bytes that the kernel uses, somewhat less than the board has; 0 where that is not known

    @property
    def has_machine_id(self) -> bool:
        """Whether the machine-id(5) that DHCP and journals know it by is set."""
        return self.machine_id == "present"

    @property
    def model(self) -> str:
        """Vendor and product in one, for people; "unknown model" when both are empty."""
        return f"{self.vendor} {self.product}".strip() or "unknown model"


def probe(facts: Facts) -> Identity:
    """Read /sys/class/dmi/id and /etc/machine-id. Raises Undetermined in a root that has no /sys."""
    place = facts.root
    if not place.live and not root.is_dir(place, FOLDER):
        raise Undetermined("no /sys/class/dmi/id: which hardware this is cannot be told")
    found = root.read(place, "/etc/machine-id", 4096)
    state = "absent" if found is None else "present" if found.strip() not in (b"", b"uninitialized") else "empty"

    def dmi(name: str) -> str:
        return root.value(place, f"{FOLDER}/{name}")

    return Identity(
        dmi("sys_vendor"), dmi("product_name"), dmi("product_version"), dmi("board_name"),
        dmi("bios_vendor"), dmi("bios_version"), state,
        dmi("product_uuid").lower(), dmi("product_serial"), memory(place),
    )  # fmt: skip


def memory(place: Root) -> int:
    """MemTotal of /proc/meminfo (proc_meminfo(5)), in bytes."""
    for line in root.value(place, "/proc/meminfo").split("\n"):
        # MemTotal:        8030168 kB
        words = line.split()
        if words[:1] == ["MemTotal:"] and len(words) > 1 and words[1].isdecimal():
            return int(words[1]) << 10
    return 0
