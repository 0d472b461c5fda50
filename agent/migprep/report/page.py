"""HTML pages in one file: the style and the script are inside, nothing is fetched, everything is escaped.

A Content-Security-Policy allows this script alone, by its hash, so that even text that got past the escaping could
not run. Without a script, in a mail, everything is shown and only the filter is missing.
"""

from __future__ import annotations

from migprep.typed import Any


def render(name: str, values: dict[str, Any]) -> str:
    """One of the templates beside this module, with `values`; texts are made printable and escaped."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    made = Environment(
        loader=FunctionLoader(_file), autoescape=True, undefined=StrictUndefined, finalize=_finalized,
        trim_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    style, script = _file("style.css"), _file("page.js")
    inside = {"style": Markup(style), "script": Markup(script), "policy": _policy(script)}  # noqa: S704  our own
    return made.get_template(name).render({**values, **inside})


def _file(name: str) -> str:
    """A file beside this module; also inside a zip archive."""
    import pkgutil

    return (pkgutil.get_data("migprep.report", name) or b"").decode()


def _policy(script: str) -> str:
    from base64 import b64encode
    from hashlib import sha256

    digest = b64encode(sha256(script.encode()).digest()).decode()
    allowed = f"style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"


def _finalized(value: object) -> object:
    """Text of the machine without control characters and stray bytes; line feeds are kept."""
    from markupsafe import Markup

    from migprep.report.text import shown

    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return "\n".join(map(shown, value.split("\n")))
