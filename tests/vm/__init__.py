"""The boot lab: verdicts are proved by booting."""
