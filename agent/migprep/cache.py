"""What was expensive to read and has not changed since, kept in migprep's own folder."""

from __future__ import annotations

import json
import os

from migprep.typed import Any

FOLDER = "/var/cache/migprep"


class Cache:
    """JSON values by key and identity, in one folder that only root can read.

    A cache never fails: one that cannot be read is empty, one that cannot be written stays empty.
    """

    def __init__(self, folder: str = FOLDER) -> None:
        self.folder = folder

    def path(self, key: str) -> str:
        """Where the value of `key` is kept."""
        from zlib import adler32, crc32  # two keys that share a name are told apart by the key inside

        name = key.encode("utf-8", "surrogateescape")
        return os.path.join(self.folder, f"{crc32(name):08x}{adler32(name):08x}")

    def get(self, key: str, identity: list[Any]) -> Any:
        """The value kept for `key` while its `identity` (inode, size, mtime …) was the same, or None."""
        try:
            with open(self.path(key), "rb") as stream:
                kept = json.load(stream)
            return kept["value"] if kept["key"] == key and kept["identity"] == identity else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, key: str, identity: list[Any], value: object) -> None:
        """Keep `value`; written beside and renamed, 0600."""
        path = self.path(key)
        try:
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            with open(
                os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "w"
            ) as stream:
                stream.write(json.dumps({"key": key, "identity": identity, "value": value}))
            os.replace(f"{path}.new", path)
        except OSError:
            return
