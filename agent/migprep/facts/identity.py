"""Who this machine is: the DMI texts that are no secret, and whether it has a machine-id. Never serial or UUID."""

from __future__ import annotations

from migprep import root
from migprep.model import Undetermined
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
    )  # fmt: skip
