"""Does the packaged unit see the machine as the shell does? One boot; both reports are made there and compared."""

from __future__ import annotations

from typing import Optional

from . import disk, testimony, trial
from .command import LabError
from .scenario import Scenario


def parity(scenario: Scenario, product: Optional[bytes]) -> testimony.Act:
    """The act `unit` of the guest: exit code 0 when both reports say the same, else the first differences."""
    on = trial.bench(scenario, product, fresh=False, purpose="units")
    boot = trial.listen(on, "source", ["settle", "unit"], disk.images(scenario, on.disk))
    if boot.said is None:
        raise LabError(f"{scenario.name}: the source did not come up ({boot.death})")
    found = testimony.act(testimony.read(boot.said), "unit")
    if found is None:
        raise LabError(f"{scenario.name}: the guest said nothing of the unit")
    return found
