"""Compile the rule and target files into one JSON file for the wheel: it loads without a YAML parser."""

import os
import sys
import tempfile

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface):
    def initialize(self, version, build_data):
        if version == "editable":
            return  # a checkout reads the YAML files themselves
        sys.path.insert(0, os.path.join(self.root, "agent"))
        from migprep import data

        self.folder = tempfile.TemporaryDirectory()
        path = os.path.join(self.folder.name, "compiled.json")
        with open(path, "wb") as stream:
            stream.write(data.compiled())
        build_data["force_include"][path] = "migprep/compiled.json"
