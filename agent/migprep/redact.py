"""Take secrets out of configuration text before it leaves the machine; everything else stays as it is.

What is taken out: private keys (PEM), crypt(5) hashes, GRUB password hashes, user:password@ in URLs, and the
value of every setting whose name says that it is a secret, in any of the notations of /etc.
"""

from __future__ import annotations

import re

MASK = b"REDACTED"

#: Confidential as machine-id(5) says; whether they are set still shows.
IDENTITIES = ("/etc/machine-id", "/var/lib/dbus/machine-id")

#: Files that hold nothing but secrets: not even their names' contents are read into a capture.
FORBIDDEN = re.compile(
    r"/etc/(?:shadow|gshadow|security/opasswd)-?$|/(?:ssh_host_[^/]*_key|id_(?:rsa|dsa|ecdsa|ed25519))$"
    r"|\.(?:key|p12|pfx|jks|keytab)$|/etc/(?:luks|cryptsetup|keys|ssl/private|pki/tls/private)(?:-keys\.d)?/"
)
#: Folders where a setting that is called just "key", "pin" or "shared" is a secret.
NETWORK = re.compile(
    r"^/etc/(?:netplan|NetworkManager|network|systemd/network|sysconfig/network|wpa_supplicant|wicked|conf\.d/net|iwd)"
    r"|^/run/NetworkManager"
)

_SECRET = (
    rb"pass(?:word|wd|phrase|code)?(?:[._-]?raw)?|pwd|pw|psk\d?|secrets?|token|set_credential(?:_binary)?"
    rb"|private[._-]?key|preshared[._-]?key|wep[._-]?(?:tx)?key\d?|api[._-]?key|(?:mka[._-])?cak|community"
)
_NAME = rb"[\w.-]*?(?:" + _SECRET + rb"|(?:password|passphrase|key_passphrase|wpa_psk|wpa_password)_?\d*)"
# psk=secret with spaces | password: "secret"      at the start of a line: all the rest is the value
_LINE = re.compile(rb"(?im)^([ \t]*(?:- )?(?:export )?[\"']?(?:" + _NAME + rb")[\"']?[ \t]*[=:][ \t]*)([^\r\n]+)")
_NETWORK_LINE = re.compile(
    rb"(?im)^([ \t]*(?:- )?[\"']?(?:(?:wireless_)?key_?\d*|private|shared|pin|sae-password)[\"']?[ \t]*[=:][ \t]*)"
    rb"([^\r\n]+)"
)
# wpa-psk secret (interfaces(5)) | password --md5 $1$.. | password_pbkdf2 root grub.pbkdf2.. (GRUB)
_WORDS = re.compile(
    rb"(?im)^([ \t]*(?:wpa-(?:psk|password|passphrase|private-key-passwd\d?|wep-key\d?)|wireless-key\d?|password\w*)"
    rb"[ \t]+)(?![=:])([^\r\n]+)"
)
# in the middle of a line: mount options, kernel arguments, JSON
_INSIDE = re.compile(
    rb"(?i)((?:^|[\s,;\"'{&?])(?:" + _NAME + rb")[\"']?[ \t]?[=:][ \t]?)"
    rb"(\"[^\"\r\n]*\"|'[^'\r\n]*'|[^\s,;\"'&}]+)"
)
_ELEMENT = re.compile(rb"(?i)(<(?:[\w:-]*?(?:" + _SECRET + rb"|modulus-key))>)([^<]+)(?=</)")
_URL = re.compile(rb"([a-z][a-z0-9+.-]*:(?://)?)([^\s/:@,]+:[^\s/@,]+)(?=@)")
_PEM = re.compile(
    rb"(-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----).*?(-----END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----|\Z)", re.DOTALL
)
_HASH = re.compile(rb"grub\.pbkdf2\.[\w.]+|\$(?:1|2[abxy]?|5|6|7|y|gy|md5|argon2\w*|scrypt)\$[\w./$=,+-]{8,}")
_SECTION = re.compile(rb"(?ims)^(\[(?:vpn-secrets|secrets)\][^\n]*\n)(.*?)(?=^\[|\Z)")
_SETTING = re.compile(rb"(?m)^([^=\n#;]+=)([^\r\n]+)")


def is_forbidden(path: str) -> bool:
    """Whether a file holds nothing but secrets, so that it must not be copied at all."""
    return bool(FORBIDDEN.search(path))


def redacted(path: str, content: bytes) -> bytes:
    """`content` with its secrets masked; every other byte, and every line, stays where it was."""
    if path in IDENTITIES:
        return content if content.strip() in (b"", b"uninitialized") else MASK + b"\n"
    if path.startswith(("/sys/", "/run/udev/")) or b"\0" in content[:4096] and not path.startswith("/proc/"):
        return content
    content = _PEM.sub(rb"\1" + MASK + rb"\2", content)
    content = _SECTION.sub(lambda found: found[1] + _SETTING.sub(_masked, found[2]), content)
    content = _WORDS.sub(_masked, content)
    content = _ELEMENT.sub(_masked, content)
    content = _LINE.sub(_masked, content)
    if NETWORK.search(path):
        content = _NETWORK_LINE.sub(_masked, content)
    content = _INSIDE.sub(_masked, content)
    content = _URL.sub(rb"\1" + MASK, content)
    return _HASH.sub(MASK, content)


def _masked(found: re.Match[bytes]) -> bytes:
    """The name as it was, the value masked inside its quotes; a value of a few flags is none."""
    name, value = found[1], found[2]
    quote = value[:1] if value[:1] in (b'"', b"'") else b""
    return name + quote + MASK + quote
