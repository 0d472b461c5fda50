"""cloud-init: whether it takes the machine for a new one on the target, and what it would write anew there."""

from __future__ import annotations

import re

from migprep import root
from migprep.facts.configuration import CLOUD_INIT, installed, masked, yaml_loader
from migprep.model import Undetermined
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

MAIN, FOLDER = "/etc/cloud/cloud.cfg", "/etc/cloud/cloud.cfg.d"
INSTANCE = "/var/lib/cloud/instance"
UNITS = ("cloud-init.service", "cloud-init-local.service", "cloud-init-main.service")
#: Files of cloud-init's settings that are worth a YAML parser.
WORTH = re.compile(r"^(?:datasource_list|network|manual_cache_clean)\s*:", re.MULTILINE)
IDENTIFIES = ("/usr/lib/cloud-init/ds-identify", "/lib/cloud-init/ds-identify")
#: Sources that the disk itself carries, or that are none.
LOCAL = frozenset({"None", "NoCloud", "ConfigDrive", "OVF"})


class CloudInit(NamedTuple):
    """What cloud-init is told. Names of data sources as in its datasource_list."""

    runs: bool  # it starts at boot
    datasources: tuple[str, ...]  # those that it may look for; () for all that it knows
    used: str  # the one that this instance came from, "" when that is not known
    identifies: bool  # it does nothing at all where none of several sources is found
    seeded: bool  # its data lies on the root file system, and moves along
    network_off: str  # the file that forbids it the network configuration, "" for none
    keeps_instance: bool  # it goes on believing what it knew, wherever it runs
    files: tuple[str, ...]  # network configuration that it wrote

    def takes_over_on(self, offered: tuple[str, ...]) -> bool:
        """Whether it runs as for a new instance on a target that offers the data sources `offered`."""
        if not self.runs or self.keeps_instance or self.seeded or set(self.datasources) == {"None"}:
            return False
        if self.finds(offered):
            return True
        return self.is_told or not self.identifies

    def finds(self, offered: tuple[str, ...]) -> bool:
        """Whether it finds one of `offered` there."""
        return any(not self.datasources or one in self.datasources for one in offered)

    @property
    def is_told(self) -> bool:
        """Whether it is told its one source, and believes that without looking."""
        return len([one for one in self.datasources if one != "None"]) == 1

    def rewrites_network_on(self, offered: tuple[str, ...]) -> bool:
        """Whether it writes the network configuration anew there, from what the target offers."""
        return self.finds(offered) and self.takes_over_on(offered) and not self.network_off

    def effects_on(self, offered: tuple[str, ...]) -> str:
        """What it would do there, in words."""
        found = ["new SSH host keys and perhaps another host name"]
        if not self.network_off:
            own = f" ({', '.join(self.files)})" if self.files else ""
            found.insert(0, f"the network configuration written anew{own}")
        if not self.finds(offered) and set(self.datasources) - LOCAL:
            found.append("a wait of minutes for metadata that is not there")
        return ", ".join(found)

    @property
    def source(self) -> str:
        """The data sources it looks for, in words."""
        return ", ".join(self.datasources) or "any"


ABSENT = CloudInit(False, (), "", False, False, "", False, ())


def probe(facts: Facts) -> CloudInit:
    """Read cloud-init's settings, in the order in which it merges them. Raises Undetermined for what is no YAML."""
    tree = facts.root
    if not root.exists(tree, MAIN) or not installed(tree, "/usr/bin/cloud-init"):
        return ABSENT
    arguments = root.value(tree, "/proc/cmdline").split()
    told: dict[str, Any] = {}
    network_off = "/proc/cmdline" if "network-config=disabled" in arguments else ""
    for path in (MAIN, *(f"{FOLDER}/{name}" for name in tree.names(FOLDER) if name.endswith(".cfg"))):
        content = root.text(tree, path) or ""
        found = load(content, path) if WORTH.search(content) else {}
        told.update(found)
        if "network" in found:
            network_off = path if _is_off(found["network"]) else ""
    off = (
        root.exists(tree, "/etc/cloud/cloud-init.disabled")
        or "cloud-init=disabled" in arguments
        or any(masked(tree, unit) for unit in UNITS)
    )
    listed = told.get("datasource_list")
    used = (root.text(tree, f"{INSTANCE}/datasource") or "").partition(":")[0].strip()
    return CloudInit(
        runs=not off,
        datasources=tuple(str(one) for one in listed) if isinstance(listed, list) else (),
        used=used.replace("DataSource", ""),
        identifies=any(root.exists(tree, path) for path in IDENTIFIES) or not root.is_dir(tree, "/usr/lib"),
        seeded=any(tree.names(f"/var/lib/cloud/seed/{name}") for name in ("nocloud", "nocloud-net")),
        network_off=network_off,
        keeps_instance=str(told.get("manual_cache_clean", "")).lower() in ("true", "yes", "on"),
        files=tuple(_files(tree)),
    )


def load(content: str, path: str) -> dict[str, Any]:
    """The settings of one file, all scalars as text. Raises Undetermined."""
    import yaml

    try:
        loader = yaml_loader(content)
        try:
            found = loader.get_single_data()
        finally:
            loader.dispose()
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        mark = getattr(error, "problem_mark", None)
        raise Undetermined(f"{path}{f':{mark.line + 1}' if mark else ''}: cloud-init cannot read this file") from None
    return found if isinstance(found, dict) else {}


def _is_off(network: object) -> bool:
    return isinstance(network, dict) and network.get("config") == "disabled"


def _files(tree: Root) -> list[str]:
    folders = ("/etc/netplan", "/etc/network/interfaces.d", "/etc/NetworkManager/system-connections")
    return [
        f"{folder}/{name}"
        for folder in (*folders, "/etc/systemd/network")
        for name in tree.names(folder)
        if name.startswith(CLOUD_INIT)
    ]
