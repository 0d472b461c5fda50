"""Thousands of reports as one: merged into SQLite one after another, then counted, never all in memory at once."""

FORMATS = ("text", "html", "csv", "json", "prom", "sqlite")
