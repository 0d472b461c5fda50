#!/usr/bin/python
# Copyright (c) 2026 the migprep authors
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: migprep_rollback
short_description: Undo what migprep changed on a machine
version_added: 0.1.0
description:
  - Runs C(migprep rollback) on the host, which restores every byte that one transaction changed.
  - A file that somebody edited since is not overwritten; the task fails then, with nothing touched.
author:
  - the migprep authors (@migprep)
options:
  transaction:
    description:
      - Which transaction, as RV(migprep.migprep.migprep_fix#module:transaction) and C(migprep history) name it.
      - Without it the newest that stands is undone, so that running the task again undoes the one before.
    type: str
extends_documentation_fragment:
  - migprep.migprep.program
attributes:
  check_mode:
    description: Tells what would be restored and changes nothing.
    support: full
  diff_mode:
    description: Lists the files that are restored.
    support: partial
    details: Their content is not shown.
notes:
  - Needs root on the host (C(become)).
seealso:
  - module: migprep.migprep.migprep_check
  - module: migprep.migprep.migprep_fix
"""

EXAMPLES = r"""
- name: Undo the last fix
  migprep.migprep.migprep_rollback:

- name: Undo one that is known by name
  migprep.migprep.migprep_rollback:
    transaction: "{{ mended.transaction }}"
"""

RETURN = r"""
transaction:
  description: The transaction that was undone, or would be; nothing when there is none.
  returned: success
  type: str
  sample: 20261124-101500-1
files:
  description: The files that were put back, or would be, and for each whether it is restored or deleted.
  returned: success
  type: list
  elements: dict
  sample: [{path: /etc/fstab, action: restore}]
code:
  description: The exit code of migprep; it is not called RC for Ansible takes any RC but 0 for a failure.
  returned: always
  type: int
  sample: 0
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.migprep.migprep.plugins.module_utils.program import ARGUMENTS, Program


def main():
    """Ask what there is to undo, and undo it outside check mode."""
    module = AnsibleModule(argument_spec=dict(transaction=dict(type="str"), **ARGUMENTS), supports_check_mode=True)
    words = [module.params["transaction"]] if module.params["transaction"] else []
    program = Program(module)
    code, way = program.document("rollback", words + ["--dry-run"], (0, 2))
    pending = code == 2
    if pending and not module.check_mode:
        code, way = program.document("rollback", words, (0,))
    told = "".join("%s  %s\n" % (one["action"], one["path"]) for one in way["files"])
    module.exit_json(
        changed=pending, code=code, transaction=way["transaction"], files=way["files"],
        diff=dict(prepared=told) if pending else dict(),
    )  # fmt: skip


if __name__ == "__main__":
    main()
