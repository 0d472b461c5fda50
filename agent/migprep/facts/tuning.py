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
    "numa": "memory nodes", "numa_balancing": "memory nodes",
    "mem": "the amount of memory", "memmap": "the amount of memory",
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
    """One argument of the next boot, and what of this machine it is meant for."""

    path: str
    text: str
    meant_for: str


class Tuning(NamedTuple):
    """Arguments that may be wrong elsewhere."""

    arguments: tuple[Bound, ...]


def probe(facts: Facts) -> Tuning:
    """Pick them from what the next boot is told, else from what this one was. Raises Undetermined: neither is known."""
    known = facts.arguments
    if isinstance(known, Unknown):
        raise Undetermined(known.reason)
    given = known.running_given if isinstance(known.next, Unknown) else known.next
    found = {one.text: Bound(one.path, one.text, MEANT_FOR[one.word.key]) for one in given if one.word.key in MEANT_FOR}
    return Tuning(tuple(found.values()))
