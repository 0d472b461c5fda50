"""The configurations of every tool that configures network cards."""

from __future__ import annotations

from migprep import root
from migprep.facts import net_ifcfg, net_ifupdown, net_keyfile, net_netplan, net_networkd
from migprep.facts.configuration import Configuration, enabled, linked
from migprep.root import Root

#: Where an ssh server inside the initramfs, to unlock a disk from afar, keeps its settings.
UNLOCKS = ("/etc/dropbear/initramfs", "/etc/dropbear-initramfs", "/etc/tinyssh")
#: The units that start Open vSwitch: Debian's, Red Hat's, SUSE's.
OPEN_VSWITCH = ("openvswitch-switch.service", "openvswitch.service", "ovs-vswitchd.service")


def read(tree: Root) -> tuple[Configuration, ...]:
    """The configurations of every tool that is in use."""
    netplan = net_netplan.read(tree)
    found = (
        net_ifupdown.read(tree)
        + netplan
        + linked(net_ifcfg.read(tree) + net_keyfile.read(tree))  # NetworkManager reads both
        + net_networkd.read(tree, started_by_netplan=bool(netplan))
    )
    return found + _rare(tree)


def _rare(tree: Root) -> tuple[Configuration, ...]:
    """Tools whose readers are imported only where a file says that they may be in use."""
    found: tuple[Configuration, ...] = ()
    if root.exists(tree, "/etc/wicked/ifconfig"):
        from migprep.facts import net_wicked

        found += net_wicked.read(tree)
    if root.exists(tree, "/etc/dhcpcd.conf") or root.exists(tree, "/etc/NIXOS"):
        from migprep.facts import net_dhcpcd

        found += net_dhcpcd.read(tree)
    if root.exists(tree, "/etc/connman") or root.exists(tree, "/var/lib/connman"):
        from migprep.facts import net_connman

        found += net_connman.read(tree)
    if enabled(tree, *OPEN_VSWITCH):
        from migprep.facts import net_ovs

        found += net_ovs.read(tree)
    if root.exists(tree, "/etc/teamd"):
        from migprep.facts import net_teamd

        found += net_teamd.read(tree)
    arguments = root.value(tree, "/proc/cmdline")
    unlocks = any(root.is_dir(tree, path) for path in UNLOCKS)
    if "ip=" in arguments or "ifname=" in arguments or unlocks or root.is_dir(tree, "/etc/dracut.conf.d"):
        from migprep.facts import net_cmdline

        found += net_cmdline.read(tree, unlocks)
    return found
