# Copyright (c) 2026 the migprep authors
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""The options that all modules have; module_utils/program.py reads them."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type


class ModuleDocFragment(object):
    """Found by its name: migprep.migprep.program."""

    DOCUMENTATION = r"""
options:
  root:
    description:
      - A mounted image or a chroot on the host, instead of the host itself.
      - M(migprep.migprep.migprep_check) takes a capture, too. What is changed there keeps its journal inside it.
    type: path
  executable:
    description:
      - The program, as a path or as a name that is looked up in E(PATH) and C(/usr/local/bin).
    type: path
    default: migprep
"""
