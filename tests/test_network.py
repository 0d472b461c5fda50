"""The network facts: what each tool's files mean, and what becomes of names elsewhere."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from migprep import targets
from migprep.facts import (
    Facts,
    interfaces,
    net_cmdline,
    net_ifcfg,
    net_ifupdown,
    net_keyfile,
    net_netplan,
    net_networkd,
    net_ovs,
    net_teamd,
    resolver,
    selection,
    udev,
    udev_rules,
)
from migprep.model import MigprepError, Unknown
from migprep.report import document
from migprep.root import Files, Overlay

CORPUS = Path(os.environ.get("MIGPREP_CORPUS", "/nonexistent"))
TREES = Path(__file__).parent / "trees"
TARGETS = targets.load()


def machine(name: str, **files: str) -> Files:
    content = yaml.safe_load((TREES / f"{name}.yaml").read_text())
    content.update(files)
    return Files(
        {path: value["link"] if isinstance(value, dict) else value.encode() for path, value in content.items()}
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("52:54:00:1A:B0:01", "52:54:00:1a:b0:01"),
        ("52-54-00-1a-b0-01", "52:54:00:1a:b0:01"),
        ("5254.001a.b001", "52:54:00:1a:b0:01"),
        ('"52:54:00:1a:b0:01" ', "52:54:00:1a:b0:01"),
        (
            "80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:08:33:05",
            "80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:08:33:05",
        ),
        ("52:54:00:1a:b0", ""),
        ("zz:54:00:1a:b0:01", ""),
        ("random", ""),
        ("", ""),
    ],
)
def test_addresses_in_every_spelling(written: str, meant: str) -> None:
    assert selection.mac(written) == meant


def test_interfaces_with_everything() -> None:
    found = net_ifupdown.parse(
        "auto ens3\niface ens3 inet static\n address 10.0.0.5\n netmask 255.255.255.0\n gateway 10.0.0.1\n"
        " dns-nameservers 1.1.1.1 9.9.9.9\niface ens3 inet6 auto\nallow-hotplug ens4\niface ens4 inet manual\n"
        "iface bond0 inet static\n address 10.1.0.5/16\n bond-slaves ens5 ens6\n up ip route add default dev ens7\n"
    )
    assert [(one.interface, one.method, one.at_boot, one.line) for one in found] == [
        ("ens3", "static", True, 2), ("ens3", "dhcp", True, 7), ("ens4", "manual", True, 9), ("bond0", "static", False, 10),
    ]  # fmt: skip
    assert found[0].summary == "10.0.0.5/24, gateway 10.0.0.1, DNS 1.1.1.1 9.9.9.9"
    assert found[3].uses == ("ens5", "ens6", "ens7")


@pytest.mark.parametrize(
    "text",
    [
        "auto ens3=home\niface home inet dhcp\n mtu 9000\n",
        "auto ens3\nmapping ens*\n script /usr/local/sbin/map\n map office=x away\n map home\niface home inet dhcp\n mtu 9000\n",
        "auto ens3\niface lan inet manual\n mtu 9000\niface ens3 inet dhcp inherits lan\n",
        "auto /ens*\niface ens3 inet dhcp\n inherits lan\niface lan\n mtu 9000\n",
    ],
)
def test_a_stanza_that_means_a_card_by_another_name(text: str) -> None:
    (one,) = [each for each in net_ifupdown.parse(text) if each.at_boot]
    assert one.selection.names == ("ens3",) and one.mtu == 9000 and one.is_dhcp


def test_ifupdown_says_what_a_driver_may_refuse() -> None:
    (one,) = net_ifupdown.parse(
        "auto ens3\niface ens3 inet dhcp\n hwaddress ether 02:00:00:00:00:01\n bond-master bond0\n offload-tso off\n"
        " pre-up /sbin/ethtool -G $IFACE rx 4096\n up echo ethtools\n"
    )
    assert (one.set_mac, one.over) == ("02:00:00:00:00:01", ("bond0",))
    assert [(each.line, each.text) for each in one.tuning] == [
        (5, "offload-tso off"), (6, "pre-up /sbin/ethtool -G $IFACE rx 4096"),
    ]  # fmt: skip


def test_a_source_line_that_includes_itself_ends() -> None:
    root = Files({"/etc/network/interfaces": b"source /etc/network/*\nauto ens3\niface ens3 inet dhcp\n"})
    assert [one.interface for one in net_ifupdown.read(root)] == ["ens3"]


def test_netplan_merges_files_by_name() -> None:
    root = Files({
        "/etc/netplan/01.yaml": b"network: {ethernets: {ens3: {dhcp4: true, addresses: [10.0.0.5/24]}}}\n",
        "/run/netplan/02.yaml": b"network:\n  ethernets:\n    ens3:\n      dhcp4: false\n      nameservers: {addresses: [9.9.9.9]}\n",
        "/lib/netplan/01.yaml": b"network: {ethernets: {never: {dhcp4: true}}}\n",
    })  # fmt: skip
    (one,) = net_netplan.read(root)
    assert (one.interface, one.method, one.addresses, one.dns) == ("ens3", "static", ("10.0.0.5/24",), ("9.9.9.9",))


def test_old_and_new_keyfile_addresses() -> None:
    (one,) = net_keyfile.parse(
        "[connection]\ntype=ethernet\n[ipv4]\nmethod=manual\naddresses1=10.0.0.5;24;10.0.0.1;\ndns=1.1.1.1;\n", "/x"
    )
    assert (one.addresses, one.gateway, one.dns) == (("10.0.0.5/24",), "10.0.0.1", ("1.1.1.1",))
    assert net_keyfile.parse("[connection]\ntype=wifi\n", "/x") == ()


def test_a_keyfile_of_old_writes_an_address_in_numbers() -> None:
    (one,) = net_keyfile.parse("[connection]\ntype=802-3-ethernet\n[802-3-ethernet]\nmac-address=82;84;0;26;176;1;\n", "/x")
    assert one.selection.permanent_macs == ("52:54:00:1a:b0:01",)


def test_everything_above_a_card_is_followed() -> None:
    told = "auto br0.10\niface br0.10 inet dhcp\nauto br0\niface br0 inet manual\n bridge_ports bond0\n" \
        "iface bond0 inet manual\n bond-slaves ens3\n"  # fmt: skip
    facts = Facts(machine("net-ens3", **{"/etc/network/interfaces": told}))
    assert facts.network.cards[0].above == ("bond0", "br0", "br0.10")
    assert facts.network.cards[0].carries == " and carries bond0, br0, br0.10"


PORT = "[connection]\nuuid=aa\ntype=ethernet\ninterface-name=ens3\n{}\n"
VLAN = "[connection]\nuuid=cc\ntype=vlan\ninterface-name=lan.10\n[vlan]\nid=10\nparent={}\n"
KEYFILES = "/etc/NetworkManager/system-connections"


@pytest.mark.parametrize(
    ("files", "above"),
    [
        pytest.param({
            f"{KEYFILES}/a": PORT.format("controller=bb\nport-type=bond"),
            f"{KEYFILES}/b": "[connection]\nuuid=bb\ntype=bond\ninterface-name=bond0\n",
            f"{KEYFILES}/c": VLAN.format("bb"),
        }, ("bond0", "lan.10"), id="NetworkManager, by UUID"),
        pytest.param({
            f"{KEYFILES}/a": PORT.format("master=bb\nslave-type=team"),
            f"{KEYFILES}/b": "[connection]\nuuid=bb\ntype=team\ninterface-name=team0\ncontroller=vrf9\n",
            f"{KEYFILES}/c": "[connection]\ntype=macvlan\ninterface-name=mv0\n[macvlan]\nparent=team0\n",
        }, ("team0", "vrf9", "mv0"), id="NetworkManager, team, VRF and macvlan"),
        pytest.param({
            "/etc/sysconfig/network-scripts/ifcfg-ens3": "DEVICE=ens3\nTEAM_MASTER_UUID=bb\n",
            "/etc/sysconfig/network-scripts/ifcfg-team0": "DEVICE=team0\nUUID=bb\nDEVICETYPE=Team\n",
            "/etc/sysconfig/network-scripts/ifcfg-v": "DEVICE=lan.10\nVLAN=yes\nPHYSDEV=bb\n",
        }, ("team0", "lan.10"), id="ifcfg, by UUID"),
        pytest.param({
            "/etc/netplan/a.yaml": "network: {ethernets: {nic: {match: {macaddress: '52:54:00:1a:b0:01'}}}, bonds: {bond0: "
            "{interfaces: [nic]}}, vlans: {v10: {id: 10, link: bond0}}, vrfs: {red: {table: 9, interfaces: [v10]}}}\n",
        }, ("bond0", "v10", "red"), id="netplan, by key"),
        pytest.param({
            "/etc/systemd/network/a.network": "[Match]\nName=ens3\n[Network]\nBond=bond0\nMACVLAN=mv0\n",
            "/etc/systemd/network/b.netdev": "[NetDev]\nName=bond0\nKind=bond\n",
            "/etc/systemd/network/b.network": "[Match]\nName=bond0\n[Network]\nVLAN=v10 v20\nVRF=red\n",
        }, ("bond0", "mv0", "red", "v10", "v20"), id="networkd"),
        pytest.param({
            "/etc/systemd/network/a.network": "[Match]\nName=en*\n[Network]\nBond=bond0\n",
            "/etc/systemd/network/b.netdev": "[NetDev]\nName=bond0\nKind=bond\n",
            "/etc/systemd/network/b.network": "[Match]\nName=bond* team*\n[Network]\nVLAN=v10\n",
            "/etc/systemd/network/c.network": "[Match]\nName=v* bond0\n[Network]\nBridge=br0\n",
        }, ("bond0", "v10", "br0"), id="networkd, by patterns"),
        pytest.param({
            "/etc/network/interfaces": "auto mv0\niface mv0 inet dhcp\n pre-up ip link add link ens3 name mv0 type macvlan\n"
            "auto br0\niface br0 inet manual\n up /sbin/brctl addif br0 mv0 || true\n vrf red\n",
        }, ("mv0", "br0", "red"), id="ifupdown, by commands"),
        pytest.param({
            "/etc/sysconfig/network/ifcfg-mv0": "STARTMODE=auto\nMACVLAN_DEVICE=team0\n",
            "/etc/sysconfig/network/ifcfg-team0": "STARTMODE=auto\nTEAM_PORT_DEVICE_1=ens3\n",
        }, ("team0", "mv0"), id="SUSE"),
        pytest.param({
            "/etc/teamd/t.conf": '{"device": "team0", "ports": {"ens3": {}, "ens4": {}}}\n',
            "/etc/network/interfaces": "auto team0.10\niface team0.10 inet dhcp\n",
        }, ("team0", "team0.10"), id="teamd"),
        pytest.param({
            "/sys/class/net/ens3.5/lower_ens3": "", "/sys/class/net/ens3.5/address": "52:54:00:1a:b0:01\n",
            "/run/udev/data/n9": "E:DEVTYPE=vlan\n", "/sys/class/net/ens3.5/ifindex": "9\n",
        }, ("ens3.5",), id="as it runs"),
    ],
)  # fmt: skip
def test_every_tool_says_what_stands_on_a_card(files: dict[str, str], above: tuple[str, ...]) -> None:
    facts = Facts(machine("net-ens3", **files))
    assert facts.network.cards[0].above == above


def test_what_stands_on_a_profile_by_its_uuid_does_not_depend_on_a_name() -> None:
    by_mac = "[connection]\nuuid=aa\ntype=ethernet\nautoconnect=false\n[ethernet]\nmac-address=52:54:00:1a:b0:01\n"
    facts = Facts(machine("net-ens3", **{f"{KEYFILES}/a": by_mac, f"{KEYFILES}/c": VLAN.format("aa")}))
    (card,) = facts.network.cards
    assert not card.named and card.above == ("lan.10",)
    assert [one.at_boot for one in card.configurations] == [True]  # NetworkManager brings a parent up with its VLAN


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("IP=10.0.2.40::10.0.2.2:255.255.255.0:web1:ens3:off\n", [(1, "ens3", "static", ("10.0.2.40/24",), "10.0.2.2")]),
        ("# x\nDEVICE=ens3\nIP=\n", [(1, "ens3", "dhcp", (), "")]),
        ("#IP=dhcp\n", []),
        ("DEVICE=\n", []),
        ("IP=dhcp\n", [(1, "any card", "dhcp", (), "")]),
        ('\nkernel_cmdline+=" rd.neednet=1 ip=ens3:dhcp "\n', [(2, "ens3", "dhcp", (), "")]),
    ],
)
def test_what_an_initramfs_is_told_of_the_network(content: str, told: list[object]) -> None:
    found = net_cmdline.baked(content, "/etc/x")
    assert [(one.line, one.interface, one.method, one.addresses, one.gateway) for one in found] == told


def test_a_vlan_without_a_parent_is_found_by_its_cards_address() -> None:
    (one,) = net_keyfile.parse(VLAN.format("") + "[ethernet]\nmac-address=52:54:00:1A:B0:01\n", "/x")
    assert one.asked_macs == ("52:54:00:1a:b0:01",) and not one.selection.names and one.interface == "lan.10"


def test_the_inventory_says_how_to_build_the_network_again() -> None:
    told = "auto br0\niface br0 inet static\n bridge_ports ens3\n address 10.0.2.40/24\n" \
        "auto ens3\niface ens3 inet static\n address 10.1.0.5/24\n dns-nameservers 10.0.2.3\n"  # fmt: skip
    lease = 'lease {\n  interface "ens3";\n  fixed-address 10.0.2.15;\n  option routers 10.0.2.2;\n}\n'
    facts = Facts(machine("net-ens3", **{"/etc/network/interfaces": told, "/var/lib/dhcp/dhclient.leases": lease}))
    (card,) = document.inventory(facts)["nics"]
    assert {key: card[key] for key in ("name", "mac", "mac_is_local", "place", "method", "dns", "carries")} == {
        "name": "ens3", "mac": "52:54:00:1a:b0:01", "mac_is_local": True, "place": "pci-0000:00:03.0", "method": "static",
        "dns": ["10.0.2.3"], "carries": ["br0"],
    }  # fmt: skip
    assert card["configured_in"] == ["/etc/network/interfaces:2", "/etc/network/interfaces:6"]
    assert card["configured_addresses"] == ["10.0.2.40/24", "10.1.0.5/24"]
    assert card["lease"]["address"] == "10.0.2.15" and card["lease"]["identity"] == "MAC address"


def test_networkd_selects_by_more_than_a_name() -> None:
    (one,) = net_networkd.parse(
        "[Match]\nName=!lo wg*\nType=ether\n[Network]\nDHCP=ipv4\n[Route]\nGateway=10.0.0.1\n", "/x"
    )
    assert one.is_dhcp and one.gateway == "10.0.0.1"
    assert one.selection.allows_name("ens3") and not one.selection.allows_name("wg0")


def test_suse_files_say_how_to_find_the_card() -> None:
    (by_mac,) = net_ifcfg.parse_suse("STARTMODE=auto\n", "/etc/sysconfig/network/ifcfg-eth-id-52:54:00:1a:b0:01")
    (by_place,) = net_ifcfg.parse_suse("STARTMODE=auto\n", "/etc/sysconfig/network/ifcfg-eth-bus-pci-0000:00:03.0")
    assert by_mac.is_by_mac and by_place.is_by_hardware


def test_an_initramfs_time_link_keeps_what_it_hides() -> None:
    facts = Facts(machine("net-ens3", **{"/etc/network/interfaces": "auto ens3\niface ens3 inet dhcp\n"}))
    (card,) = facts.network.cards
    assert card.defaults == ("AlternativeNamesPolicy=database onboard slot path", "MACAddressPolicy=persistent")
    assert card.why_it_changes == "the name follows the place of the card on its bus"
    assert card.name_changes_on(TARGETS["kvm"])
    assert card.configured_by == ("ifupdown",) and card.dhcp


def test_a_pin_ends_the_fault_on_the_machine_as_it_will_be() -> None:
    root = machine("net-ens3", **{"/etc/network/interfaces": "auto ens3\niface ens3 inet dhcp\n"})
    link = b"[Match]\nPermanentMACAddress=52:54:00:1a:b0:01\nType=ether\n[Link]\nName=ens3\n"
    after = Facts(Overlay(root, {"/etc/systemd/network/10-migprep-ens3.link": link}))
    assert not after.network.cards[0].name_changes_on(TARGETS["kvm"])
    assert after.network.cards[0].is_pinned


def test_the_kernel_argument_switches_names_by_place_off() -> None:
    assert not Facts(machine("net-eth0")).network.cards[0].by_place
    assert Facts(machine("net-eth0-hyperv")).network.cards[0].by_place


def test_systemd_of_every_distribution_tells_its_version() -> None:
    root = Files({"/usr/lib/systemd/libsystemd-shared-252-32.el9.so": b""})
    assert udev.systemd_version(root) == 252
    assert udev.systemd_version(Files({})) == 0


def test_rules_split_over_lines_and_their_removal() -> None:
    text = '# c\nSUBSYSTEM=="net", \\\n  ATTR{address}=="52:54:00:1a:b0:01", NAME="eth0"\nKERNEL=="sda"\n'
    rules = udev_rules.parse(text, "/x")
    assert [(rule.line, rule.name) for rule in rules] == [(2, "eth0"), (4, "")]
    empty = udev.Udev((), (), (), (), (), (), 0)
    assert empty.without(text, rules[:1]) == '# c\nKERNEL=="sda"\n'
    assert empty.without(text, ()) == text


def test_without_devices_the_network_is_unknown() -> None:
    assert isinstance(Facts(Files({})).network, Unknown)


def test_resolver() -> None:
    root = Files(
        {
            "/etc/resolv.conf": "../run/systemd/resolve/stub-resolv.conf",
            "/run/systemd/resolve/stub-resolv.conf": b"nameserver 127.0.0.53\nsearch a b\n",
        }
    )
    found = Facts(root).resolver
    assert found == resolver.Resolver(
        ("127.0.0.53",), ("a", "b"), "../run/systemd/resolve/stub-resolv.conf", "systemd-resolved"
    )


READERS = {
    "interfaces": lambda text, path: net_ifupdown.parse(text),
    "ifcfg": lambda text, path: net_ifcfg.parse(text, path) + net_ifcfg.parse_suse(text, path),
    "netplan": lambda text, path: net_netplan.configurations(net_netplan.load(text, path)),
    "nmconnection": net_keyfile.parse,
    "networkd": net_networkd.parse,
    "teamd": net_teamd.parse,
    "openvswitch": net_ovs.parse,
    "udev-net-rules": udev_rules.parse,
    "resolv": lambda text, path: resolver.parse(text),
}


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the collection of real files is not here")
@pytest.mark.parametrize("folder", [*(name for name in READERS if name not in ("teamd", "openvswitch")), "hostile"])
def test_real_files_are_read_or_refused_with_a_sentence(folder: str) -> None:
    for path in sorted((CORPUS / folder).iterdir()):
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        for reader in [READERS[folder]] if folder in READERS else READERS.values():
            try:
                reader(text, f"/etc/{path.name}")
            except MigprepError as error:
                assert str(error)


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the collection of real files is not here")
def test_real_files_stay_as_they_are_but_for_the_address() -> None:
    for folder, change in (
        ("ifcfg", net_ifcfg.as_dhcp),
        ("nmconnection", net_keyfile.as_dhcp),
        ("networkd", net_networkd.as_dhcp),
    ):
        for path in sorted((CORPUS / folder).iterdir()):
            text = path.read_bytes().decode("utf-8", "surrogateescape")
            kept = set(change(text).split("\n"))
            assert sum(line not in kept for line in text.split("\n")) <= 40, path


def test_a_file_that_outlived_its_tool_says_nothing() -> None:
    told = {
        "/etc/network/interfaces": b"auto ens3\niface ens3 inet dhcp\n",
        "/etc/netplan/a.yaml": b"network: {ethernets: {a: {}}}\n",
    }
    assert net_ifupdown.read(Files(told)) and net_netplan.read(Files(told))
    other = {**told, "/usr/sbin/nologin": b""}
    assert not net_ifupdown.read(Files(other)) and not net_netplan.read(Files(other))
    both = {**other, "/usr/sbin/ifup": b"", "/usr/sbin/netplan": b""}
    assert net_ifupdown.read(Files(both)) and net_netplan.read(Files(both))


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"auto ens{n}\niface ens{n} inet dhcp\n address 10.0.0.1\n" for n in range(10_000)),
        "iface \\\n" * 10_000,
        "A='b\n" * 10_000,
        '[Match\\\n"' * 10_000,
        'ATTR{address}=="' * 10_000,
    ],
    ids=["stanzas", "continued", "quotes", "brackets", "tokens"],
)
def test_long_files_cost_no_square(text: str) -> None:
    started = time.process_time()
    for reader in READERS.values():
        if reader is not READERS["netplan"]:
            with contextlib.suppress(MigprepError):  # JSON it is not
                reader(text, "/etc/x")
    assert time.process_time() - started < 20


@given(
    st.text(st.sampled_from(list("=[]{}:\"'\\ \n\t#!*,;$ab0/-")) | st.characters()), st.sampled_from(sorted(READERS))
)
def test_anything_is_read_or_refused(text: str, kind: str) -> None:
    with contextlib.suppress(MigprepError):
        READERS[kind](text, "/etc/x")


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the collection of real files is not here")
def test_a_real_netplan_file_turns_to_dhcp_for_one_interface_alone() -> None:
    def told(text: str) -> dict[str, tuple[object, ...]]:
        found = net_netplan.configurations(net_netplan.load(text, "/x"))
        return {one.interface: (one.method, one.addresses, one.gateway, one.dns, one.uses, one.mtu) for one in found}

    for path in sorted((CORPUS / "netplan").iterdir()):
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        for one in net_netplan.configurations(net_netplan.load(text, "/x")):
            if one.is_static:
                before, after = told(text), told(net_netplan.as_dhcp(text, one.line))
                assert after[one.interface][:3] == ("dhcp", (), ""), path
                assert {**after, one.interface: ()} == {**before, one.interface: ()}, path


@given(st.text(st.sampled_from(list("network:{}[]-&*!\n ethers43.dhcpadrsu#\r\t'\"0"))))
def test_changes_of_anything_end(text: str) -> None:
    for line in (1, 2, 5):
        net_netplan.as_dhcp(text, line)
        net_ifupdown.may_fail(text, {line})
    assert selection.with_macs(text, {}) == text


def test_addresses_are_exchanged_in_their_spelling() -> None:
    macs = {"52:54:00:1a:b0:01": "0a:00:00:00:00:07"}
    text = "52:54:00:1a:b0:01 52-54-00-1A-B0-01 52:54:00:1a:b0:01:07 52:54:00:1a:b0:02"
    changed = "0a:00:00:00:00:07 0A-00-00-00-00-07 52:54:00:1a:b0:01:07 52:54:00:1a:b0:02"
    assert selection.with_macs(text, macs) == changed


@given(st.binary(min_size=6, max_size=6), st.binary(min_size=8, max_size=8))
def test_an_address_is_made_of_its_mac_and_of_no_other(mac: bytes, network: bytes) -> None:
    half = bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:]
    address = str(ipaddress.IPv6Address(network + half))
    assert interfaces.is_made_of(address, mac.hex(":"))
    assert not interfaces.is_made_of(address, bytes([*mac[:5], mac[5] ^ 1]).hex(":"))
