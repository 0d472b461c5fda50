"""Fencing of a high-availability cluster: which agents cut off a node, and through whose hands."""

from __future__ import annotations

import re

from migprep import root
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

#: Where Pacemaker keeps its configuration, and the older cman.
FILES = ("/var/lib/pacemaker/cib/cib.xml", "/var/lib/heartbeat/crm/cib.xml", "/etc/cluster/cluster.conf")
# <primitive id="fence1" class="stonith" type="fence_vmware_soap">   <fencedevice agent="fence_ilo4" …/>
AGENT = re.compile(
    r"class=\"stonith\"[^>]*\btype=\"([\w/.-]+)\"|\btype=\"([\w/.-]+)\"[^>]*class=\"stonith\"|\bagent=\"(fence_[\w-]+)\""
)
#: Agents that ask a hypervisor or cloud, by how their names begin; the platform as targets say it.
PLATFORMS = (
    ("fence_vmware", "vmware"), ("external/vcenter", "vmware"), ("fence_xvm", "kvm"), ("fence_virt", "kvm"),
    ("external/libvirt", "kvm"), ("external/xen", "xen"), ("fence_aws", "amazon"), ("external/ec2", "amazon"),
    ("fence_azure", "microsoft"), ("fence_gce", "google"), ("fence_ibm", "ibm"), ("fence_aliyun", "alibaba"),
    ("fence_rhevm", "kvm"), ("fence_evacuate", "kvm"), ("fence_pve", "kvm"), ("fence_ovh", "ovh"),
)  # fmt: skip
#: Agents that cut the power of a board or a socket.
BOARDS = (
    "fence_ilo", "fence_ipmi", "fence_drac", "fence_idrac", "fence_imm", "fence_rsa", "fence_rsb", "fence_apc",
    "fence_eaton", "fence_bladecenter", "fence_cisco", "fence_hpblade", "fence_redfish", "fence_intelmodular",
    "fence_ipdu", "fence_wti", "fence_lpar", "fence_amt", "external/ipmi", "external/ilo", "external/drac",
    "external/riloe", "external/ibmrsa", "external/rackpdu", "external/hmchttp", "external/hetzner", "ipmilan",
)  # fmt: skip


class Fence(NamedTuple):
    """One fencing agent; `platform` is what it asks, "" for hardware."""

    agent: str
    path: str
    line: int
    platform: str

    def works_on(self, platform: str) -> bool:
        """Whether it can still cut a node off when the nodes are machines of `platform`."""
        return bool(self.platform) and self.platform == platform


class Cluster(NamedTuple):
    """What cuts off a node that does not answer."""

    fences: tuple[Fence, ...]


def probe(facts: Facts) -> Cluster:
    """Read the names of fencing agents, and nothing else, from FILES. Raises Unreadable."""
    found: dict[str, Fence] = {}
    for path in FILES:
        text = root.text(facts.root, path)
        for match in AGENT.finditer(text or ""):
            agent = next(group for group in match.groups() if group)
            platform = next((name for sign, name in PLATFORMS if agent.startswith(sign)), "")
            if platform or agent.startswith(BOARDS):
                line = (text or "").count("\n", 0, match.start()) + 1
                found.setdefault(agent, Fence(agent, path, line, platform))
    return Cluster(tuple(found.values()))
