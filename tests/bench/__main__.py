"""Print the table of ratios. ``--image FILE``: the initramfs to compare with lsinitramfs on."""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import shutil
import tempfile
from pathlib import Path
from typing import Callable, NamedTuple

from tests.bench import images, installed, machines
from tests.bench.measure import Command, Cost, in_turns, once


class Row(NamedTuple):
    """One line of the table; `goal` is the most that `value` should be."""

    what: str
    value: float
    unit: str
    goal: float | None
    detail: str = ""


def main() -> int:
    """Measure and print; 0 when every goal is met, else 2."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="migprep-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        programs = Path(options.bin) if options.bin else installed.install(folder)
        rows = [
            *_start(programs, options.runs),
            *_image(programs, folder, options),
            *_images(programs, folder, options),
            *_mending(programs, folder, options.runs),
            *_growth(programs, folder),
            *_search(programs, folder),
            *_fleet(programs, folder, options.fleet),
            *_one_file(programs, options),
        ]
    print(_machine(programs))
    print(_table(rows))
    return 0 if all(row.goal is None or row.value <= row.goal for row in rows) else 2


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--image", type=Path, default=machines.image_here(), help="default: the newest of /boot")
    parser.add_argument("--bin", help="where an installed migprep and its python are, instead of building a wheel")
    parser.add_argument("--onefile", type=Path, default=installed.SOURCE / "dist/migprep", help="the one-file build")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--fleet", type=int, default=10_000, metavar="REPORTS", help="size of the fleet that is merged")
    return parser.parse_args()


def _start(programs: Path, runs: int) -> list[Row]:
    """What every call costs, against an interpreter that does nothing."""
    python, migprep = str(programs / "python"), str(programs / "migprep")
    commands = {
        "bare": [python, "-I", "-c", "pass"],
        "help": [migprep, "--help"],
        "check": [migprep, "check"],
        "changed": Command([migprep, "check"], forget),
        "json": [migprep, "check", "--format", "json"],
        "all": [migprep, "check", *(word for name in _targets() for word in ("--target", name))],
    }
    cost = in_turns(commands, runs)
    bare = cost["bare"].seconds
    return [
        Row("migprep --help / bare python3", cost["help"].seconds / bare, "x", 3, _ms(cost["help"], cost["bare"])),
        Row(
            "warm migprep check / bare python3", cost["check"].seconds / bare, "x", 8, _ms(cost["check"], cost["bare"])
        ),
        Row("the same after a change", cost["changed"].seconds / bare, "x", None, _ms(cost["changed"], cost["bare"])),
        Row("warm check as JSON / bare python3", cost["json"].seconds / bare, "x", 8, _ms(cost["json"], cost["bare"])),
        Row(
            "warm check for all targets / bare python3",
            cost["all"].seconds / bare,
            "x",
            None,
            _ms(cost["all"], cost["bare"]),
        ),
        Row("peak memory of migprep check", max(one.memory for one in cost.values()), "MiB", 45),
    ]


def _one_file(programs: Path, options: argparse.Namespace) -> list[Row]:
    """The same calls to the file that brings its own interpreter."""
    if not options.onefile.exists():
        print("(no one-file build: python3 packaging/onefile/build.py makes it; not measured)")
        return []
    file = str(options.onefile.resolve())
    commands = {"bare": [str(programs / "python"), "-I", "-c", "pass"], "help": [file, "--help"], "check": [file, "check"]}
    cost = in_turns({**commands, "changed": Command([file, "check"], forget)}, options.runs)
    bare = cost["bare"]
    return [
        Row("one file: --help / bare python3", cost["help"].seconds / bare.seconds, "x", 3, _ms(cost["help"], bare)),
        Row("one file: warm check / bare python3", cost["check"].seconds / bare.seconds, "x", 12, _ms(cost["check"], bare)),
        Row("the same after a change", cost["changed"].seconds / bare.seconds, "x", None, _ms(cost["changed"], bare)),
        Row("one file: peak memory", max(one.memory for one in cost.values()), "MiB", 45),
    ]  # fmt: skip


def _targets() -> list[str]:
    return sorted(path.stem for path in (installed.SOURCE / "rules/targets").glob("*.yaml"))


def _image(programs: Path, folder: Path, options: argparse.Namespace) -> list[Row]:
    """Reading an initramfs, against the tool that lists it."""
    lister = shutil.which("lsinitramfs")
    if not options.image or not lister:
        print("(no initramfs or no lsinitramfs here: not compared)")
        return []
    root = machines.with_image(folder / "image", options.image)
    migprep = str(programs / "migprep")
    cost = in_turns(
        {
            "first": [migprep, "check", "--root", str(root)],
            "warm": [migprep, "check"],
            "list": [lister, str(options.image)],
        },
        max(3, options.runs // 3),
    )
    other = cost["list"].seconds + cost["warm"].seconds
    return [
        Row(
            "first check / (lsinitramfs + warm check)",
            cost["first"].seconds / other,
            "x",
            1,
            f"{cost['first'].seconds * 1000:.0f} / {other * 1000:.0f} ms",
        )
    ]


def _images(programs: Path, folder: Path, options: argparse.Namespace) -> list[Row]:
    """All images of a machine, in every compression: read, read again, listed, and only expanded."""
    if not options.image:
        return []
    python, every = str(programs / "python"), images.variants(folder / "images", options.image)
    commands: dict[str, Command | list[str]] = {
        "bare": images.reading(python, []),
        "read": images.reading(python, every),
        "kept": images.reading(python, every, str(folder / "kept")),
    }
    for name, command in (("list", images.listing(every)), ("expand", images.expanding(every))):
        if command:
            commands[name] = command
    cost = in_turns(commands, 3)
    read, kept = (cost[name].seconds - cost["bare"].seconds for name in ("read", "kept"))
    what = f"reading {len(every)} initramfs images"
    rows = [Row(f"{what} again / the first time", kept / read, "x", 0.05, f"{kept * 1000:.0f} / {read * 1000:.0f} ms")]
    for name, against, goal in (("list", "listing them", 1.0), ("expand", "only expanding them (the limit)", None)):
        if name in cost:
            other = cost[name].seconds
            detail = f"{read * 1000:.0f} / {other * 1000:.0f} ms"
            rows.append(Row(f"{what} / {against}", read / other, "x", goal, detail))
    return [*rows, Row(f"peak memory of {what}", cost["read"].memory, "MiB", None)]


def _mending(programs: Path, folder: Path, runs: int) -> list[Row]:
    """What a fix costs, against the check that names it."""
    migprep = str(programs / "migprep")
    roots = {name: machines.to_mend(folder / f"mend-{name}", 10) for name in ("check", "fix", "apply")}

    def command(name: str, *words: str) -> list[str]:
        return [migprep, *words, "--root", str(roots[name])]

    cost = in_turns(
        {
            "check": command("check", "check"),
            "fix": command("fix", "fix"),
            "apply": Command(
                command("apply", "fix", "--apply", "--yes"), lambda: machines.without_traces(roots["apply"])
            ),
        },
        max(3, runs // 3),
    )
    check = cost["check"]
    return [
        Row("migprep fix / check of the same machine", cost["fix"].seconds / check.seconds, "x", 2, _ms(cost["fix"], check)),
        Row("fix --apply / check of the same machine", cost["apply"].seconds / check.seconds, "x", 2, _ms(cost["apply"], check)),
    ]  # fmt: skip


#: What is made larger: how such a machine is made, the verb it is given to, and two sizes that both cost more than noise.
GROWTH: tuple[tuple[str, Callable[[Path, int], Path], str, int, int], ...] = (
    ("fstab lines, check", machines.with_fstab, "check", 2_000, 20_000),
    ("block devices, check", machines.with_devices, "check", 1_000, 10_000),
    ("fstab lines to mend, fix", machines.to_mend, "fix", 1_000, 10_000),
)


def _growth(programs: Path, folder: Path) -> list[Row]:
    """Ten times as much takes ten times as long, and no more; what an empty machine takes is left out."""
    rows = []
    for what, make, verb, few, many in GROWTH:
        roots = {str(size): make(folder / f"{what}-{size}", size) for size in (0, few, many)}
        cost = in_turns(
            {size: [str(programs / "migprep"), verb, "--root", str(root)] for size, root in roots.items()}, 3
        )
        small, large = (cost[str(size)].seconds - cost["0"].seconds for size in (few, many))
        rows.append(
            Row(
                f"{many:,} {what} / {few:,}",
                large / max(small, 0.001),
                "x",
                12,
                f"{large * 1000:.0f} / {small * 1000:.0f} ms",
            )
        )
        for root in roots.values():
            shutil.rmtree(root)
    return rows


def forget() -> None:
    """Let the next check of this machine be made anew, as after a change."""
    from migprep.cache import Cache

    with contextlib.suppress(FileNotFoundError):
        os.unlink(Cache().path("report"))


#: What the search looks for, as grep takes it.
NAMED = r"/dev/((sd|hd|vd|xvd|dasd)[a-z]|nvme[0-9]|mmcblk[0-9]|disk/by-(id|path)/)|dev-(sd|hd|vd|xvd)[a-z]|KERNELS?=="


def _search(programs: Path, folder: Path, files: int = 100_000) -> list[Row]:
    """Searching the whole disk for device names, against grep with the same pattern on the same files."""
    root = machines.with_files(folder / "files", files)
    command = [str(programs / "migprep"), "check", "--root", str(root)]
    grep = ["env", "LC_ALL=C", "grep", "-rIlE", NAMED, str(root / "opt")]
    cost = in_turns({"plain": command, "scan": [*command, "--scan"], "grep": grep}, 3)
    took, other = cost["scan"].seconds - cost["plain"].seconds, cost["grep"].seconds
    detail = f"{took * 1000:.0f} / {other * 1000:.0f} ms"
    return [
        Row(f"check --scan of {files:,} files / grep -rIlE", took / other, "x", 2, detail),
        Row("peak memory of check --scan", cost["scan"].memory, "MiB", 45),
    ]


def _fleet(programs: Path, folder: Path, count: int) -> list[Row]:
    """Merging a fleet: a tenth of it, and all of it, from reports as a machine with faults writes them."""
    reports = folder / "reports"
    size = machines.with_reports(reports, str(programs / "migprep"), folder, count)
    command = [str(programs / "migprep"), "fleet", "--output", f"sqlite={folder / 'fleet.sqlite'}"]
    few, many = (once([*command, *paths]) for paths in ([str(reports / "0")], [str(reports)]))
    per = f"{count:,} reports of {size / 1024:.0f} KiB: {many.seconds:.1f} s"
    return [
        Row("migprep fleet, a thousand reports", many.seconds / count * 1000, "s", None, per),
        Row(f"peak memory of migprep fleet, {count:,} reports", many.memory, "MiB", 45,
            f"{few.memory:.1f} MiB for {count // 10:,}"),
    ]  # fmt: skip


def _ms(cost: Cost, bare: Cost) -> str:
    return f"{cost.seconds * 1000:.0f} / {bare.seconds * 1000:.0f} ms"


def _machine(programs: Path) -> str:
    cpuinfo = Path("/proc/cpuinfo").read_text().split("\n")
    model = next((line.partition(": ")[2] for line in cpuinfo if line.startswith("model name")), platform.machine())
    return f"{model}, {os.cpu_count()} CPUs, Linux {platform.release()}, Python {platform.python_version()}; CPU time, medians\n"


def _table(rows: list[Row]) -> str:
    lines = ["| what | measured | goal | |", "|---|---|---|---|"]
    for row in rows:
        goal = "" if row.goal is None else f"<= {row.goal:g} {row.unit}" + ("" if row.value <= row.goal else " MISSED")
        lines.append(f"| {row.what} | {row.value:.1f} {row.unit} | {goal} | {row.detail} |")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
