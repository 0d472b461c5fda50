"""Print the table of ratios. ``--image FILE``: the initramfs to compare with lsinitramfs on."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.bench import installed, machines
from tests.bench.measure import Cost, in_turns

SIZES = (0, 1000, 10_000)


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
        rows = [*_start(programs, options.runs), *_image(programs, folder, options), *_growth(programs, folder)]
    print(_machine(programs))
    print(_table(rows))
    return 0 if all(row.goal is None or row.value <= row.goal for row in rows) else 2


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--image", type=Path, default=machines.image_here(), help="default: the newest of /boot")
    parser.add_argument("--bin", help="where an installed migprep and its python are, instead of building a wheel")
    parser.add_argument("--runs", type=int, default=15)
    return parser.parse_args()


def _start(programs: Path, runs: int) -> list[Row]:
    """What every call costs, against an interpreter that does nothing."""
    python, migprep = str(programs / "python"), str(programs / "migprep")
    commands = {
        "bare": [python, "-I", "-c", "pass"],
        "help": [migprep, "--help"],
        "check": [migprep, "check"],
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
        Row("the same as JSON", cost["json"].seconds / bare, "x", 8, _ms(cost["json"], cost["bare"])),
        Row("the same for all targets", cost["all"].seconds / bare, "x", None, _ms(cost["all"], cost["bare"])),
        Row("peak memory of migprep check", max(cost["check"].memory, cost["json"].memory), "MiB", 45),
    ]


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


def _growth(programs: Path, folder: Path) -> list[Row]:
    """Ten times as much takes ten times as long, and no more."""
    rows = []
    for what, make in (("fstab lines", machines.with_fstab), ("block devices", machines.with_devices)):
        roots = {str(size): make(folder / f"{what}-{size}", size) for size in SIZES}
        cost = in_turns(
            {size: [str(programs / "migprep"), "check", "--root", str(root)] for size, root in roots.items()}, 3
        )
        base, few, many = (cost[str(size)].seconds for size in SIZES)
        rows.append(
            Row(
                f"10,000 {what} / 1,000",
                (many - base) / max(few - base, 0.001),
                "x",
                12,
                f"{many * 1000:.0f} / {few * 1000:.0f} ms",
            )
        )
    return rows


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


raise SystemExit(main())
