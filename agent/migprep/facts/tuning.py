"""Kernel arguments that are made for this machine's processors, memory, clock or board."""

from __future__ import annotations

from migprep.model import Undetermined, Unknown
from migprep.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migprep.facts import Facts

#: What an argument depends on (kernel-parameters.rst).
MEANT_FOR = {
    "isolcpus": "the numbers of processors", "nohz_full": "the numbers of processors",
    "rcu_nocbs": "the numbers of processors", "irqaffinity": "the numbers of processors",
    "maxcpus": "the number of processors", "nr_cpus": "the number of processors",
    "possible_cpus": "the number of processors",
    "numa": "memory nodes", "numa_balancing": "memory nodes", "mem": "the amount of memory",
    "hugepages": "the amount of memory", "hugepagesz": "page sizes of the processor",
    "default_hugepagesz": "page sizes of the processor", "intel_iommu": "an IOMMU", "amd_iommu": "an IOMMU",
    "iommu": "an IOMMU", "intel_idle.max_cstate": "sleep states of the processor",
    "processor.max_cstate": "sleep states of the processor", "idle": "sleep states of the processor",
    "intel_pstate": "frequencies of the processor", "amd_pstate": "frequencies of the processor",
    "clocksource": "a clock of this hardware", "tsc": "a clock of this hardware", "notsc": "a clock of this hardware",
    "hpet": "a clock of this hardware", "lpj": "the speed of the processor",
    "divider": "the timer of a virtual machine",
    "acpi": "the firmware", "noapic": "interrupts of the board", "nolapic": "interrupts of the board",
    "pci": "the bus of the board",
}  # fmt: skip


class Bound(NamedTuple):
    """One argument of the running kernel, and what of this machine it is meant for."""

    text: str
    meant_for: str


class Tuning(NamedTuple):
    """Arguments that may be wrong elsewhere."""

    arguments: tuple[Bound, ...]


def probe(facts: Facts) -> Tuning:
    """Pick them from /proc/cmdline. Raises Undetermined where no arguments are known."""
    known = facts.arguments
    if isinstance(known, Unknown):
        raise Undetermined(known.reason)
    found = (
        Bound(f"{word.key}={word.value}" if word.value else word.key, MEANT_FOR[word.key])
        for word in known.running
        if word.key in MEANT_FOR
    )
    return Tuning(tuple(dict.fromkeys(found)))
