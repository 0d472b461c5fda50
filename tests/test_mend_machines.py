"""Whole machines: planned, planned again, applied, judged again, and given back byte for byte."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.changing import NAME, Disk, snapshot
from tests.test_rules import content, tree

from migprep import apply, inspection, plan, targets
from migprep.facts import Facts
from migprep.process import Outcome
from migprep.root import Files, Tree

RULES = inspection.load_rules("/nowhere")[0]
TARGETS = targets.load()
MACHINES = {
    "debian": ["debian", "sda", "boot-grub", "root-on-sda1", "net-eth0", "x-nvidia", "x-starts"],
    "redhat": ["redhat", "sda", "sdb", "lvm", "net-ens3", "x-nvidia"],
    "suse": ["suse", "sda", "md", "net-eth0-old-udev"],
    "debian on LUKS": ["debian", "sda", "luks", "net-lan0"],
}
FSTAB = "/dev/sda1 / ext4 errors=remount-ro 0 1\n/dev/sda5\tnone swap sw 0 0 # by name\r\n"


def files(names: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in names:
        found.update(tree(name))
    found = {"/" + path.strip("/"): content(value) for path, value in found.items()}
    found["/etc/fstab"] = FSTAB.encode()
    return found


def on_disk(folder: Path, given: dict[str, Any]) -> Tree:
    for path, value in sorted(
        given.items(), key=lambda item: (isinstance(item[1], bytes), len(item[0]))
    ):  # links first
        where = folder / path.strip("/")
        where.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(value, str):
            os.symlink(value, where)
            target = (where.parent / value).resolve()
            if path.startswith("/sys/") and folder.resolve() in target.parents:
                target.mkdir(parents=True, exist_ok=True)
        else:
            where.write_bytes(value)
    return Tree(str(folder))


@pytest.mark.parametrize("target", ["kvm", "aws", "vmware"])
@pytest.mark.parametrize("names", MACHINES.values(), ids=MACHINES)
def test_the_second_plan_is_empty(names: list[str], target: str) -> None:
    place = Files(files(names))
    first = plan.plan(RULES, Facts(place), TARGETS[target], cutover=True)
    again = plan.plan(RULES, Facts(first.overlay(place)), TARGETS[target], cutover=True)
    assert again.is_empty, (again.changes, again.actions)
    assert again.verdict_before is first.verdict_after
    promised = {one.fingerprint for one in first.mended}
    assert not promised & {one.fingerprint for result in again.results_before for one in result.findings}


class Building(Disk):
    """Runs no tool: the image that a command would build is the foreseen listing."""

    foreseen: dict[str, bytes]

    def run(self, argv: list[str], seconds: float) -> Outcome:
        beside = next(one for one in argv if one.endswith("-new"))
        path = beside.replace("/.", "/")[: -len(".migprep-new")]
        Path(self.tree.base + beside).write_bytes(b"image")
        listing = Path(f"{self.tree.base}/migprep/initramfs{beside}")
        listing.write_bytes(self.foreseen.get(f"/migprep/initramfs{path}", b""))
        return Outcome(0, b"", b"")


@pytest.mark.parametrize("names", MACHINES.values(), ids=MACHINES)
def test_applied_and_given_back(tmp_path: Path, names: list[str]) -> None:
    given = files(names)
    for path in [one[len("/migprep/initramfs") :] for one in given if one.startswith("/migprep/initramfs/")]:
        given.setdefault(path, b"image")
    given.update({f"/usr/bin/{one}": b"" for one in ("mkinitramfs", "dracut")})
    place = on_disk(tmp_path, given)
    made = plan.plan(RULES, Facts(place), TARGETS["kvm"], cutover=True)
    before = {path: value for path, value in snapshot(place).items() if not path.startswith("/migprep")}
    disk = Building(place)
    disk.foreseen = made.foreseen
    done = apply.apply(place, apply.Work(NAME, made.changes, made.builds, {}), lambda: [], disk)
    assert done.code == 0, done.words
    for change in made.changes:
        where = Path(place.base + change.path)
        assert (where.read_bytes() if where.exists() else None) == change.after
    apply.undo(place, NAME)
    assert {path: value for path, value in snapshot(place).items() if not path.startswith("/migprep")} == before


def test_a_finding_that_a_new_menu_cures_is_no_harm_of_another_fix() -> None:
    """The console comes with the menu that grub-mkconfig makes; root= is mended in the old one, in the same run."""
    menu = "### BEGIN /etc/grub.d/10_linux ###\nmenuentry 'a' {\n linux /vmlinuz-6.1.0-18-amd64 root=/dev/sda1\n initrd /initrd.img-6.1.0-18-amd64\n}\n"
    place = Files({
        **files(["debian", "sda"]), "/boot/grub/grub.cfg": menu.encode(), "/usr/sbin/grub-mkconfig": b"/etc/default/grub.d",
    })  # fmt: skip
    wanted = ["arguments/no-serial-console", "arguments/volatile-root"]
    made = plan.plan(RULES, Facts(place), TARGETS["aws"], only=wanted, include=["risky"])
    assert [change.path for change in made.changes] == ["/boot/grub/grub.cfg", "/etc/default/grub.d/90-migprep.cfg"]
    assert {one.rule for one in made.mended} == set(wanted)
    assert [one.rule for one in made.expected] == ["arguments/no-serial-console"]
    build = made.builds[0]
    assert (build.path, build.wanted) == (
        "/boot/grub/grub.cfg",
        ("PARTUUID=0badcafe-01", "UUID=11111111-aaaa-4aaa-8aaa-000000000001", "console=tty0", "console=ttyS0,115200n8"),
    )  # fmt: skip


def test_every_store_of_arguments_in_one_go() -> None:
    """Red Hat 8: the entries name $kernelopts of the environment block; two files govern what later kernels get."""
    block = b"# GRUB Environment Block\nsaved_entry=m-4.18\nkernelopts=root=/dev/sda1 ro resume=/dev/sda2 quiet\n"
    stores = {
        "/boot/grub2/grubenv": block.ljust(1024, b"#"),
        "/boot/loader/entries/m-0-rescue.conf": b"title r\nversion 0-rescue\nlinux /vmlinuz-0-rescue\ninitrd /r\noptions root=/dev/sda1 ro\n",
        "/etc/kernel/cmdline": b"root=/dev/sda1 ro resume=/dev/sda2",
        "/etc/default/grub": b"GRUB_ENABLE_BLSCFG=true\r\nGRUB_CMDLINE_LINUX='resume=/dev/sda2 rd.lvm.lv=vg/sda1 quiet'\r\n",
    }
    place = Files({
        **{path: value for path, value in files(["debian", "sda"]).items() if not path.startswith("/boot/grub/")}, **stores,
        "/etc/fstab": b"", "/boot/grub2/grub.cfg": b"insmod blscfg\nblscfg\n", "/usr/sbin/mkinitramfs": b"",
        "/boot/loader/entries/m-4.18.conf": b"title x\nversion 4.18\nlinux /vmlinuz-4.18\ninitrd /i\noptions $kernelopts $tuned_params\n",
    })  # fmt: skip
    made = plan.plan(RULES, Facts(place), TARGETS["kvm"])
    uuid = b"UUID=11111111-aaaa-4aaa-8aaa-00000000000"
    assert {change.path for change in made.changes} == set(stores)
    for change in made.changes:
        expected = stores[change.path].replace(b"/dev/sda1", uuid + b"1").replace(b"/dev/sda2", uuid + b"2")
        size = 1024 if change.path.endswith("grubenv") else len(expected)
        assert change.after == expected[:size].rstrip(b"#").ljust(size, b"#")
        assert bool(change.argv) == change.path.endswith("grubenv")
    again = plan.plan(RULES, Facts(made.overlay(place)), TARGETS["kvm"])
    assert again.is_empty


CONTENTS = {
    "CRLF": lambda text: text.replace("\n", "\r\n"), "no final newline": lambda text: text.rstrip("\n"),
    "a byte order mark": lambda text: "\ufeff" + text, "bytes that are no UTF-8": lambda text: "# \udce9\udcff\n" + text,
    "form feeds and line separators": lambda text: "# a\x0cb\x0bc\x85d\u2028e\n" + text, "tabs": lambda text: text.replace(" ", "\t"),
}  # fmt: skip


@pytest.mark.parametrize("form", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/etc/fstab", "# /dev/sda3\n/dev/sda30 /x ext4 noauto\n/dev/sda3 /srv/data ext4 defaults 0 2 # /dev/sda3\n"),
        ("/etc/default/grub", 'A="/dev/sda3"\nGRUB_CMDLINE_LINUX="root=/dev/sda3 xroot=/dev/sda3 rootflags=/dev/sda3"\n'),
        ("/etc/kernel/cmdline", "root=/dev/sda3 noroot=/dev/sda3\n"),
        ("/etc/initramfs-tools/conf.d/resume", "#RESUME=/dev/sda3\nRESUME=/dev/sda3\n"),
    ],
)
def test_one_token_changes_whatever_the_text_is_like(path: str, text: str, form: Any) -> None:
    """Whole names, whole arguments; comments, ends of lines and bytes stay."""
    written = form(text)
    place = Files({**files(["debian", "sda"]), "/etc/fstab": b"", path: written.encode("utf-8", "surrogateescape")})
    found = [one for one in plan.plan(RULES, Facts(place), TARGETS["kvm"]).changes if one.path == path]
    if path.endswith("cmdline") and written.startswith(("\ufeff", "#")):
        return  # no argument begins there
    assert len(found) == 1, "it is mended"
    after = (found[0].after or b"").decode("utf-8", "surrogateescape")
    new = "UUID=11111111-aaaa-4aaa-8aaa-000000000003"
    assert after.count(new) == 1
    assert after.replace(new, "/dev/sda3") == written
