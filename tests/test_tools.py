"""The distribution's own tools, run for real in trees of Debian: fails, mended, whole, and given back byte for byte.

The trees are those of the boot lab, made from Debian's archive; here each is the lower layer of a tree that is
thrown away, in namespaces of its own, and the disks that it sees are files.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.test_rules import content, tree
from tests.vm import tree as trees
from tests.vm.scenario import Scenario

pytestmark = pytest.mark.archive
PROJECT = Path(__file__).parent.parent
UUID = "11111111-aaaa-4aaa-8aaa-000000000001"
MANIFEST = (
    'cd "$T"; find etc boot usr/lib -xdev -type f -printf "%p %m %U %G %s %T@\\n" | LC_ALL=C sort; '
    "find etc boot -xdev -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum"
)


class Said(NamedTuple):
    """What one command of ours ended with."""

    code: int
    out: str
    err: str


def layers(scenario: Scenario) -> list[Path]:
    """The trees of a scenario, topmost first; made once."""
    if not os.environ.get("MIGPREP_ARCHIVE"):
        pytest.skip("MIGPREP_ARCHIVE=1 runs real tools in trees made from Debian's archive, for minutes")
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "mmdebstrap"))):
        pytest.skip("needs root, unshare(1) and mmdebstrap(1)")
    return trees.layers(scenario)


def machine(work: Path, given: dict[str, Any]) -> str:
    """Files of the machine laid over its tree; the commands that show those of /proc and /run in it."""
    script = ""
    for path, value in given.items():
        top = path.strip("/").split("/")[0]
        where = work / (top if top in ("proc", "run") else "upper") / path.strip("/")
        where.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(value, str):
            os.symlink(value, where)
            continue
        where.write_bytes(value)
        if top == "proc":
            script += f'mount --bind "$W/proc{path}" "$T{path}"\n'
    return script + 'test ! -d "$W/run/run" || cp -a "$W/run/run/." "$T/run/"\n'


def run(work: Path, scenario: Scenario, prepared: str, *commands: list[str]) -> tuple[list[Said], list[str]]:
    """Each command of ours on the machine, and the list of its files before, between and after them."""
    files = {"/" + path.strip("/"): content(value) for path, value in tree("sda").items()}
    files["/proc/cmdline"] = b"root=/dev/sda1 ro\n"
    shown = machine(work, files)
    script = f"W={work}\nLAYERS={':'.join(map(str, layers(scenario)))}\n{trees.MERGE}\n{shown}\n{prepared}\n"
    script += f"({MANIFEST}) > $W/0.files\n"
    for number, words in enumerate(commands, 1):
        ours = shlex.join([sys.executable, "-m", "migprep", *words])
        script += f"""\
set +e; env PYTHONPATH={PROJECT}/agent {ours} --root "$T" > $W/{number}.out 2> $W/{number}.err; echo $? > $W/{number}.code; set -e
({MANIFEST}) > $W/{number}.files
"""
    trees.isolated(script, work, 900, "the tree of a test")
    said = [
        Said(int((work / f"{at}.code").read_text()), (work / f"{at}.out").read_text(), (work / f"{at}.err").read_text())
        for at in range(1, len(commands) + 1)
    ]
    return said, [(work / f"{at}.files").read_text() for at in range(len(commands) + 1)]


def failing(said: Said) -> set[str]:
    return {one["rule"] for one in json.loads(said.out)["results"] if one["status"] == "fail"}


def cycle(work: Path, scenario: Scenario, prepared: str, mended: set[str], *options: str) -> list[Said]:
    """Fails; is planned, which changes nothing; mended; nothing is left to plan; whole; given back; fails again."""
    target = options[:2] if options[:1] == ("--target",) else ()
    check, fix = ["check", "--format", "json", *target], ["fix", *options]
    said, files = run(work, scenario, prepared, check, fix, [*fix, "--apply", "--yes"], fix, check, ["rollback"], check)
    before, planned, applied, again, after, back, restored = said
    for number, one in enumerate(said):
        print(number, one.code, one.out if "schema" not in one.out else sorted(failing(one)), one.err)
    assert mended <= failing(before)
    assert planned.code == 2 and files[2] == files[0]
    assert "Nothing to change." in again.out and files[4] == files[3]
    assert applied.code == 0, applied.err
    assert files[3] != files[0]
    assert not mended & failing(after)
    assert back.code == 0 and files[6] == files[0], "rolled back byte for byte, with times and modes"
    assert failing(restored) == failing(before)
    return said


INITRAMFS_TOOLS = """\
printf 'COMPRESS=zstd\\nCOMPRESSLEVEL=1\\n' > "$T/etc/initramfs-tools/conf.d/compress"
sed -i s/^MODULES=.*/MODULES=list/ "$T/etc/initramfs-tools/initramfs.conf"
printf '%s\\n' ata_piix sd_mod ext4 e1000 >> "$T/etc/initramfs-tools/modules"
chroot "$T" update-initramfs -c -k all >&2
"""


def test_initramfs_tools(tmp_path: Path) -> None:
    said = cycle(tmp_path, Scenario("", ""), INITRAMFS_TOOLS, {"initramfs/disk-driver-missing"})
    assert "mkinitramfs -o /boot/.initrd.img-" in said[1].out


DRACUT = """\
printf 'hostonly="no"\\ncompress="zstd -1"\\ndrivers="ata_piix sd_mod ext4 e1000"\\nomit_dracutmodules+=" qemu qemu-net virtiofs "\\n' > "$T/etc/dracut.conf.d/10-machine.conf"
for v in $(ls "$T/lib/modules"); do chroot "$T" dracut -q --force --kver "$v" "/boot/initrd.img-$v" >&2; done
"""


GRUB = """\
sed -e s,@BOOTDEV@,/dev/sda1,g -e s,@ROOTDEV@,/dev/sda1,g -e s,@BOOTID@,UUID,g -e s,@ROOTID@,UUID,g \
  -e s,@BOOTFS@,ext2,g -e s,@ROOTFS@,ext2,g -e s,@PARTMAP@,msdos,g PROBE > "$T/usr/sbin/grub-probe"
mkdir -p "$T/dev/disk/by-uuid" "$T/boot/grub"; touch "$T/dev/disk/by-uuid/UUID" "$T/dev/sda1"
printf 'GRUB_TIMEOUT=1\\nGRUB_DISABLE_LINUX_UUID=true\\nGRUB_CMDLINE_LINUX="quiet"\\n' > "$T/etc/default/grub"
chroot "$T" grub-mkconfig -o /boot/grub/grub.cfg >&2
""".replace("PROBE", str(trees.GUEST / "grub-probe")).replace("UUID", UUID).replace(f"LINUX_{UUID}", "LINUX_UUID")


def test_grub_mkconfig(tmp_path: Path) -> None:
    """root= by name, in the menu and by the defaults, and a console that only a new menu brings, in one run."""
    mended = {"arguments/volatile-root", "arguments/menu-made-with-names", "arguments/no-serial-console"}
    options = [word for name in sorted(mended) for word in ("--only", name)]
    scenario = Scenario("", "")
    said = cycle(tmp_path, scenario, INITRAMFS_TOOLS.replace("list", "most") + GRUB, mended, "--target", "aws",
                 "--include", "risky", *options)  # fmt: skip
    assert "GRUB_DISABLE_OS_PROBER=true grub-mkconfig -o /boot/grub/.grub.cfg.migprep-new" in said[1].out


def test_dracut(tmp_path: Path) -> None:
    said = cycle(tmp_path, Scenario("", "", initramfs="dracut"), DRACUT, {"initramfs/disk-driver-missing"})
    assert "dracut --force /boot/.initrd.img-" in said[1].out
