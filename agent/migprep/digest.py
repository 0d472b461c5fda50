"""SHA-256 from Python's own module: hashlib loads OpenSSL, which takes longer than all rules (CPython's random.py)."""

from __future__ import annotations

from migprep.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import sha256
else:
    try:
        from _sha2 import sha256  # Python 3.12
    except ImportError:
        try:
            from _sha256 import sha256
        except ImportError:
            from hashlib import sha256

__all__ = ["sha256"]
