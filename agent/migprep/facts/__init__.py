"""What is: one typed fact per subject, probed from a Root on first use and kept."""

from __future__ import annotations

import os

from migprep.model import MigprepError, Undetermined, Unknown
from migprep.root import Root
from migprep.typed import TYPE_CHECKING, Callable, Generic, TypeVar, overload

if TYPE_CHECKING:
    from migprep.cache import Cache
    from migprep.facts import (  # the aliases make them members of this package to type checkers
        arguments as arguments,
    )
    from migprep.facts import (
        awaited as awaited,
    )
    from migprep.facts import (
        block as block,
    )
    from migprep.facts import (
        bootcode as bootcode,
    )
    from migprep.facts import (
        bootloader as bootloader,
    )
    from migprep.facts import (
        clock as clock,
    )
    from migprep.facts import (
        cloudinit as cloudinit,
    )
    from migprep.facts import (
        cluster as cluster,
    )
    from migprep.facts import (
        console as console,
    )
    from migprep.facts import (
        cpu as cpu,
    )
    from migprep.facts import (
        crypttab as crypttab,
    )
    from migprep.facts import (
        display as display,
    )
    from migprep.facts import (
        firmware as firmware,
    )
    from migprep.facts import (
        frozen as frozen,
    )
    from migprep.facts import (
        fstab as fstab,
    )
    from migprep.facts import (
        goal as goal,
    )
    from migprep.facts import (
        groups as groups,
    )
    from migprep.facts import (
        identity as identity,
    )
    from migprep.facts import (
        initramfs as initramfs,
    )
    from migprep.facts import (
        installer as installer,
    )
    from migprep.facts import (
        interfaces as interfaces,
    )
    from migprep.facts import (
        kernels as kernels,
    )
    from migprep.facts import (
        leases as leases,
    )
    from migprep.facts import (
        leftovers as leftovers,
    )
    from migprep.facts import (
        licences as licences,
    )
    from migprep.facts import (
        logins as logins,
    )
    from migprep.facts import (
        luks as luks,
    )
    from migprep.facts import (
        modprobe as modprobe,
    )
    from migprep.facts import (
        mounts as mounts,
    )
    from migprep.facts import (
        name_users as name_users,
    )
    from migprep.facts import (
        network as network,
    )
    from migprep.facts import (
        repositories as repositories,
    )
    from migprep.facts import (
        resolver as resolver,
    )
    from migprep.facts import (
        scan as scan,
    )
    from migprep.facts import (
        security as security,
    )
    from migprep.facts import (
        services as services,
    )
    from migprep.facts import (
        sshd as sshd,
    )
    from migprep.facts import (
        stacks as stacks,
    )
    from migprep.facts import (
        startup as startup,
    )
    from migprep.facts import (
        storage as storage,
    )
    from migprep.facts import (
        swaps as swaps,
    )
    from migprep.facts import (
        system as system,
    )
    from migprep.facts import (
        tuning as tuning,
    )
    from migprep.facts import (
        udev as udev,
    )
    from migprep.facts import (
        units as units,
    )
    from migprep.facts import (
        virtualization as virtualization,
    )
    from migprep.facts import (
        xfs as xfs,
    )

T = TypeVar("T")

#: Seconds that one fact may take before it is given up (an initramfs of 500 MB takes about 5).
SECONDS = 30.0
#: Seconds that searching the whole disk may take (100,000 files take about 2, from a cold disk a few minutes).
SCAN_SECONDS = 900.0


class fact(Generic[T]):  # noqa: N801  used as a decorator
    """A probe as an attribute: runs once, within a time limit, and turns failure into Unknown."""

    def __init__(self, probe: Callable[[Facts], T], seconds: float = SECONDS) -> None:
        self.probe = probe
        self.seconds = seconds
        self.__doc__ = probe.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, facts: None, owner: type) -> fact[T]: ...
    @overload
    def __get__(self, facts: Facts, owner: type) -> T | Unknown: ...
    def __get__(self, facts: Facts | None, owner: type) -> fact[T] | T | Unknown:
        if facts is None:
            return self
        value = facts.__dict__[self.name] = guarded(lambda: self.probe(facts), self.name, self.seconds)
        return value


def guarded(probe: Callable[[], T], name: str, seconds: float = SECONDS) -> T | Unknown:
    """What `probe` returns, or why it could not."""
    try:
        return limited(probe, seconds)
    except MigprepError as error:
        return Unknown(str(error))
    except OSError as error:
        return Unknown(f"{error.filename or name}: {(error.strerror or str(error)).lower()}")
    except Exception as error:  # a fault of ours is a gap in the report, never a lost report
        if os.environ.get("MIGPREP_DEBUG"):
            raise
        return Unknown(f"internal error while reading {name}: {type(error).__name__}: {error}")


def limited(probe: Callable[[], T], seconds: float) -> T:
    """`probe()` under an alarm (setitimer(2)); a surrounding limit goes on counting."""
    import signal
    import time

    def expire(*_: object) -> None:
        raise Undetermined(f"took more than {seconds:g} s")

    try:
        before = signal.signal(signal.SIGALRM, expire)
    except ValueError:  # only the main thread gets signals
        return probe()
    started = time.monotonic()
    left = signal.setitimer(signal.ITIMER_REAL, seconds)[0]
    try:
        return probe()
    finally:
        signal.setitimer(signal.ITIMER_REAL, max(0.001, left - (time.monotonic() - started)) if left else 0)
        signal.signal(signal.SIGALRM, before)


def within(seconds: float) -> Callable[[Callable[[Facts], T]], fact[T]]:
    """`fact` with a time limit of its own."""
    return lambda probe: fact(probe, seconds)


class Facts:
    """Everything that is known of one machine. Each attribute is a fact or Unknown(reason)."""

    def __init__(self, root: Root, cache: Cache | None = None, folders: tuple[str, ...] | None = None) -> None:
        """`folders`: the site's own places to search the whole disk in; None when no search is asked for."""
        self.root = root
        self.cache = cache
        self.is_scan = folders is not None
        self.folders = folders or ()

    def known(self, name: str) -> object:
        """The fact of that name, when it was probed already; else None."""
        return self.__dict__.get(name)

    @fact
    def system(self) -> system.System:
        from migprep.facts import system

        return system.probe(self)

    @fact
    def virtualization(self) -> virtualization.Virtualization:
        from migprep.facts import virtualization

        return virtualization.probe(self)

    @fact
    def firmware(self) -> firmware.Firmware:
        from migprep.facts import firmware

        return firmware.probe(self)

    @fact
    def identity(self) -> identity.Identity:
        from migprep.facts import identity

        return identity.probe(self)

    @fact
    def cpu(self) -> cpu.Cpu:
        from migprep.facts import cpu

        return cpu.probe(self)

    @fact
    def kernels(self) -> kernels.Kernels:
        from migprep.facts import kernels

        return kernels.probe(self)

    @fact
    def modprobe(self) -> modprobe.Modprobe:
        from migprep.facts import modprobe

        return modprobe.probe(self)

    @fact
    def initramfs(self) -> initramfs.Images:
        from migprep.facts import initramfs

        return initramfs.probe(self)

    @fact
    def frozen(self) -> frozen.Frozen:
        from migprep.facts import frozen

        return frozen.probe(self)

    @fact
    def arguments(self) -> arguments.Arguments:
        from migprep.facts import arguments

        return arguments.probe(self)

    @fact
    def console(self) -> console.Console:
        from migprep.facts import console

        return console.probe(self)

    @fact
    def bootloader(self) -> bootloader.BootLoader:
        from migprep.facts import bootloader

        return bootloader.probe(self)

    @fact
    def awaited(self) -> awaited.Waits:
        from migprep.facts import awaited

        return awaited.probe(self)

    @fact
    def bootcode(self) -> bootcode.BootCode:
        from migprep.facts import bootcode

        return bootcode.probe(self)

    @fact
    def block(self) -> block.Block:
        from migprep.facts import block

        return block.probe(self)

    @fact
    def xfs(self) -> xfs.Xfs:
        from migprep.facts import xfs

        return xfs.probe(self)

    @fact
    def mounts(self) -> mounts.Mounts:
        from migprep.facts import mounts

        return mounts.probe(self)

    @fact
    def swaps(self) -> swaps.Swaps:
        from migprep.facts import swaps

        return swaps.probe(self)

    @fact
    def fstab(self) -> fstab.Fstab:
        from migprep.facts import fstab

        return fstab.probe(self)

    @fact
    def crypttab(self) -> crypttab.Crypttab:
        from migprep.facts import crypttab

        return crypttab.probe(self)

    @fact
    def stacks(self) -> stacks.Stacks:
        from migprep.facts import stacks

        return stacks.probe(self)

    @fact
    def groups(self) -> groups.Groups:
        from migprep.facts import groups

        return groups.probe(self)

    @fact
    def storage(self) -> storage.Storage:
        from migprep.facts import storage

        return storage.probe(self)

    @fact
    def installer(self) -> installer.Installer:
        from migprep.facts import installer

        return installer.probe(self)

    @fact
    def luks(self) -> luks.Luks:
        from migprep.facts import luks

        return luks.probe(self)

    @fact
    def interfaces(self) -> interfaces.Interfaces:
        from migprep.facts import interfaces

        return interfaces.probe(self)

    @fact
    def network(self) -> network.Network:
        from migprep.facts import network

        return network.probe(self)

    @fact
    def name_users(self) -> name_users.NameUsers:
        from migprep.facts import name_users

        return name_users.probe(self)

    @fact
    def leases(self) -> leases.Leases:
        from migprep.facts import leases

        return leases.probe(self)

    @fact
    def cloudinit(self) -> cloudinit.CloudInit:
        from migprep.facts import cloudinit

        return cloudinit.probe(self)

    @fact
    def udev(self) -> udev.Udev:
        from migprep.facts import udev

        return udev.probe(self)

    @fact
    def resolver(self) -> resolver.Resolver:
        from migprep.facts import resolver

        return resolver.probe(self)

    @fact
    def display(self) -> display.Display:
        from migprep.facts import display

        return display.probe(self)

    @fact
    def sshd(self) -> sshd.Sshd:
        from migprep.facts import sshd

        return sshd.probe(self)

    @fact
    def startup(self) -> startup.Startup:
        from migprep.facts import startup

        return startup.probe(self)

    @within(SCAN_SECONDS)
    def scan(self) -> scan.Scan:
        if not self.is_scan:
            from migprep.facts.startup import Scan

            return Scan()
        from migprep.facts import scan

        return scan.probe(self)

    @fact
    def clock(self) -> clock.Clock:
        from migprep.facts import clock

        return clock.probe(self)

    @fact
    def cluster(self) -> cluster.Cluster:
        from migprep.facts import cluster

        return cluster.probe(self)

    @fact
    def leftovers(self) -> leftovers.Leftovers:
        from migprep.facts import leftovers

        return leftovers.probe(self)

    @fact
    def licences(self) -> licences.Licences:
        from migprep.facts import licences

        return licences.probe(self)

    @fact
    def logins(self) -> logins.Logins:
        from migprep.facts import logins

        return logins.probe(self)

    @fact
    def services(self) -> services.Services:
        from migprep.facts import services

        return services.probe(self)

    @fact
    def goal(self) -> goal.Goal:
        from migprep.facts import goal

        return goal.probe(self)

    @fact
    def repositories(self) -> repositories.Repositories:
        from migprep.facts import repositories

        return repositories.probe(self)

    @fact
    def security(self) -> security.Security:
        from migprep.facts import security

        return security.probe(self)

    @fact
    def tuning(self) -> tuning.Tuning:
        from migprep.facts import tuning

        return tuning.probe(self)

    @fact
    def units(self) -> units.Units:
        from migprep.facts import units

        return units.probe(self)
