# Copyright (c) 2026 the migprep authors
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Run the host's migprep and read what it says. Old enough for the Pythons of old hosts."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json

#: What migprep's exit codes mean where they are no verdict.
MEANINGS = {
    1: "an internal error of migprep, no verdict",
    4: "the fix failed; every file is as it was before",
    5: "the machine is NOT as it was before: a person must look at it",
    6: "refused, nothing was touched",
    64: "an option that it does not take",
    65: "a rule, waiver or target file of this host is bad",
    69: "this machine cannot be judged",
    75: "another migprep is at work here",
    77: "needs root",
    78: "a configuration of this host is bad",
}
#: The options that all modules have.
ARGUMENTS = dict(root=dict(type="path"), executable=dict(type="path", default="migprep"))


class Program(object):
    """migprep as it stands on this host."""

    def __init__(self, module):
        self.module = module
        self.path = module.get_bin_path(module.params["executable"], required=True, opt_dirs=["/usr/local/bin"])
        self.root = ["--root", module.params["root"]] if module.params["root"] else []

    def run(self, verb, words, answers):
        """(exit code, what was printed); fails the task with any code that is none of `answers`."""
        argv = [self.path, verb] + self.root + words
        code, out, err = self.module.run_command(argv)
        if code not in answers:
            self.fail(code, err.strip() or out.strip(), cmd=argv)
        return code, out

    def document(self, verb, words, answers):
        """(exit code, the JSON that was printed)."""
        code, out = self.run(verb, words + ["--format", "json"], answers)
        try:
            return code, json.loads(out)
        except ValueError as error:
            return self.module.fail_json(msg="migprep %s printed no JSON: %s" % (verb, error), code=code, stdout=out)

    def fail(self, code, said, **more):
        """End the task with what the code means and what migprep said itself."""
        meaning = MEANINGS.get(code, "it ended with %s" % code)
        self.module.fail_json(msg="migprep: %s\n%s" % (meaning, said), code=code, changed=code == 5, **more)
