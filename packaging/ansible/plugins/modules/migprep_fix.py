#!/usr/bin/python
# Copyright (c) 2026 the migprep authors
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: migprep_fix
short_description: Mend what would keep a machine from coming up on other hardware
version_added: 0.1.0
description:
  - Runs C(migprep fix) on the host. In check mode it returns the plan, with the diff of every file, and changes nothing.
  - Only what is safe is mended, unless O(include_risky) and O(only) name more. M(migprep.migprep.migprep_rollback) undoes every byte.
  - A machine on which nothing is left to mend is not changed.
author:
  - the migprep authors (@migprep)
options:
  target:
    description:
      - Where the machine moves to. C(migprep targets) lists what there is.
    type: str
    default: kvm
  only:
    description:
      - Mend only what these rules found.
    type: list
    elements: str
    default: []
  include_risky:
    description:
      - Also make changes that need a decision. It goes with O(only), which names them.
    type: bool
    default: false
  cutover:
    description:
      - Also do the last acts before the final shutdown, which may bind the disk to the target.
    type: bool
    default: false
extends_documentation_fragment:
  - migprep.migprep.program
attributes:
  check_mode:
    description: Returns the plan and changes nothing.
    support: full
  diff_mode:
    description: Shows the unified diff of every file, and the commands that make files anew.
    support: full
notes:
  - Needs root on the host (C(become)).
seealso:
  - module: migprep.migprep.migprep_check
  - module: migprep.migprep.migprep_rollback
"""

EXAMPLES = r"""
- name: Show what would be mended (with --check --diff), or mend it
  migprep.migprep.migprep_fix:
    target: kvm
  register: mended

- name: Mend one thing alone
  migprep.migprep.migprep_fix:
    only: [fstab/volatile-device-name]

- name: Make a change that was decided on
  migprep.migprep.migprep_fix:
    target: aws
    only: [arguments/no-serial-console]
    include_risky: true
"""

RETURN = r"""
verdict:
  description: The verdict for the target before and after the fix.
  returned: when there is a plan
  type: dict
  sample: {before: not_ready, after: ready}
changes:
  description: The files that are changed, each with the rules that ask for it, its sums and its unified diff.
  returned: when there is a plan
  type: list
  elements: dict
  sample: [{path: /etc/fstab, rules: [fstab/volatile-device-name]}]
commands:
  description: The commands that make files anew, and which.
  returned: when there is a plan
  type: list
  elements: dict
  sample: [{argv: [update-initramfs, -u], replaces: /boot/initrd.img-6.1.0-18-amd64}]
mended:
  description: The findings that the plan mends.
  returned: when there is a plan
  type: list
  elements: dict
  sample: []
unmended:
  description: The findings that are left, each with the reason.
  returned: when there is a plan
  type: list
  elements: dict
  sample: []
transaction:
  description: The name under which it can be rolled back; nothing in check mode or when nothing changed.
  returned: when there is a plan
  type: str
  sample: 20261124-101500-1
rollback:
  description: The command that undoes it.
  returned: when there is a plan
  type: str
  sample: migprep rollback 20261124-101500-1
code:
  description: The exit code of migprep; it is not called RC for Ansible takes any RC but 0 for a failure.
  returned: always
  type: int
  sample: 0
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.migprep.migprep.plugins.module_utils.program import ARGUMENTS, Program

RETURNED = ("target", "verdict", "changes", "commands", "mended", "unmended", "transaction", "rollback")


def compared(plan):
    """The plan as Ansible shows differences."""
    diffs = [dict(prepared=one["diff"], before_header=one["path"], after_header=one["path"]) for one in plan["changes"]]
    for one in plan["commands"]:
        told = "%s is made anew by: %s\n" % (one["replaces"], " ".join(one["argv"]))
        diffs.append(dict(prepared=told, before_header=one["replaces"], after_header=one["replaces"]))
    return diffs


def main():
    """Plan, and apply it outside check mode."""
    module = AnsibleModule(
        argument_spec=dict(
            target=dict(type="str", default="kvm"),
            only=dict(type="list", elements="str", default=[]),
            include_risky=dict(type="bool", default=False),
            cutover=dict(type="bool", default=False),
            **ARGUMENTS
        ),
        supports_check_mode=True,
    )
    given = module.params
    words = ["--target", given["target"]] + ["--cutover"] * given["cutover"]
    words += ["--include", "risky"] if given["include_risky"] else []
    for rule in given["only"]:
        words += ["--only", rule]
    program = Program(module)
    code, plan = program.document("fix", words, (0, 2))
    changed = bool(plan["changes"] or plan["commands"])
    if changed and not module.check_mode:
        code, plan = program.document("fix", words + ["--apply", "--yes"], (0,))
    module.exit_json(changed=changed, code=code, diff=compared(plan), **dict((name, plan[name]) for name in RETURNED))


if __name__ == "__main__":
    main()
