#!/usr/bin/python
# Copyright (c) 2026 the migprep authors
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: migprep_check
short_description: Ask whether a machine will come up on other hardware
version_added: 0.1.0
description:
  - Runs C(migprep check) on the host and returns its verdict for each target, what stands in the way, and the whole report.
  - Changes nothing, and fails only when O(fail_on) asks for it.
author:
  - the migprep authors (@migprep)
options:
  targets:
    description:
      - Where the machine moves to. C(migprep targets) lists what there is.
    type: list
    elements: str
    default: [kvm]
  fail_on:
    description:
      - Fail the task when a finding of this severity or above is open.
      - With any value but V(never) an unknown verdict fails the task too, for what could not be read was not found good.
    type: str
    choices: [never, blocker, high, low, info]
    default: never
  scan:
    description:
      - Also search the whole disk for device names. It takes minutes.
    type: bool
    default: false
extends_documentation_fragment:
  - migprep.migprep.program
attributes:
  check_mode:
    description: Runs the same in check mode, for it changes nothing.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
seealso:
  - module: migprep.migprep.migprep_fix
  - module: migprep.migprep.migprep_rollback
"""

EXAMPLES = r"""
- name: Ask whether this machine can move to KVM or to AWS
  migprep.migprep.migprep_check:
    targets: [kvm, aws]
  register: asked

- name: Tell what stands in the way
  ansible.builtin.debug:
    msg: "{{ item.rule }}: {{ item.message }}"
  loop: "{{ asked.findings | selectattr('severity', 'eq', 'blocker') }}"
  loop_control:
    label: "{{ item.fingerprint }}"

- name: Go on with machines only that will boot
  migprep.migprep.migprep_check:
    fail_on: blocker
"""

RETURN = r"""
verdicts:
  description: The verdict for each target; V(ready), V(conditional), V(not_ready) or V(unknown).
  returned: when the machine was judged
  type: dict
  sample: {kvm: not_ready, aws: ready}
after_fixes:
  description: The verdict for each target once C(migprep fix) has mended what is safe.
  returned: when the machine was judged
  type: dict
  sample: {kvm: ready, aws: ready}
findings:
  description: What is wrong, over all targets, the worst first. Waived findings carry their waiver.
    Where O(fail_on) fails the task, what is below it is left out.
  returned: when the machine was judged
  type: list
  elements: dict
  contains:
    target:
      description: Where it matters.
      type: str
      sample: kvm
    rule:
      description: The rule that found it.
      type: str
      sample: fstab/volatile-device-name
    severity:
      description: V(blocker), V(high), V(low) or V(info).
      type: str
      sample: blocker
    blocks:
      description: What a blocker keeps from working; V(boot), V(network) or V(data).
      type: str
      sample: boot
    fingerprint:
      description: The finding's name in waivers and in C(migprep explain).
      type: str
      sample: 1ec8e5e55a999fc0
    subject:
      description: What it is about.
      type: str
      sample: /srv/data
    message:
      description: What is wrong, in one sentence.
      type: str
      sample: /srv/data is mounted from /dev/sda3, a kernel name that kvm has not
unjudged:
  description: The rules that could not be judged, over all targets, and why.
  returned: success
  type: list
  elements: dict
  sample: []
report:
  description: The whole report, as C(migprep check --format json) printed it. C(migprep fleet) merges many.
  returned: success
  type: dict
  sample: {schema: migprep/report/1.0}
code:
  description: The exit code of migprep; it is not called RC for Ansible takes any RC but 0 for a failure.
  returned: always
  type: int
  sample: 2
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.migprep.migprep.plugins.module_utils.program import ARGUMENTS, Program

SEVERITIES = ("blocker", "high", "low", "info")


def findings(report):
    """Every finding with its rule's words, the worst first."""
    found = [
        dict(
            target=result["target"], rule=result["rule"], severity=result["severity"], blocks=result.get("blocks"),
            fingerprint=one["fingerprint"], subject=one["subject"], message=one["message"], waiver=one.get("waiver"),
        )
        for result in report["results"] if result["status"] == "fail"
        for one in result["findings"]
    ]  # fmt: skip
    return sorted(found, key=lambda one: SEVERITIES.index(one["severity"]))


def main():
    """Check, and fail when that is asked for."""
    module = AnsibleModule(
        argument_spec=dict(
            targets=dict(type="list", elements="str", default=["kvm"]),
            fail_on=dict(type="str", choices=["never"] + list(SEVERITIES), default="never"),
            scan=dict(type="bool", default=False),
            **ARGUMENTS
        ),
        supports_check_mode=True,
    )
    fail_on = module.params["fail_on"]
    words = ["--fail-on", "blocker" if fail_on == "never" else fail_on] + ["--scan"] * module.params["scan"]
    for name in module.params["targets"]:
        words += ["--target", name]
    code, report = Program(module).document("check", words, (0, 2, 3))
    found = findings(report)
    verdicts = dict((one["name"], one["verdict"]) for one in report["targets"])
    after_fixes = dict((one["name"], one["after_fixes"]) for one in report["targets"])
    if code and fail_on != "never":
        told = ", ".join("%s: %s" % (name, verdicts[name].replace("_", " ")) for name in sorted(verdicts))
        grave = [one for one in found if SEVERITIES.index(one["severity"]) <= SEVERITIES.index(fail_on)]
        module.fail_json(
            msg="%s (fail_on: %s)" % (told, fail_on), code=code, verdicts=verdicts, after_fixes=after_fixes, findings=grave
        )
    unjudged = [
        dict(target=one["target"], rule=one["rule"], reason=one.get("reason", ""))
        for one in report["results"] if one["status"] == "unknown"
    ]  # fmt: skip
    module.exit_json(
        changed=False, code=code, verdicts=verdicts, after_fixes=after_fixes, findings=found, unjudged=unjudged, report=report
    )


if __name__ == "__main__":
    main()
