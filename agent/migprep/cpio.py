"""What an initramfs holds: cpio archives one after another, each compressed or not, streamed in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Callable, NamedTuple

from migprep import compression
from migprep.compression import Block, Broken, Raw, Source
from migprep.model import Undetermined

#: newc without and with checksums; both end with an entry of this name (initramfs-buffer-format.rst).
MAGIC = (b"070701", b"070702")
TRAILER = b"TRAILER!!!"
HEADER = 110
#: Bytes that a file may have whose content is wanted (a lvm.conf with its comments has 110 kB).
CONTENT = 1 << 18


class Entry(NamedTuple):
    """One file; `content` only where it was wanted and is a small regular file."""

    path: str
    mode: int
    size: int
    content: bytes | None


class _Reader:
    """Bytes of the archive at hand: plain from the file, or out of the stream that is being expanded."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.compressions: list[str] = []
        self._blocks: Iterator[Block] | None = None
        self._block: Block = b""
        self._at = 0

    def _more(self) -> bool:
        """Have bytes at hand; False at the end of a stream that nothing continues."""
        while self._at >= len(self._block):
            if self._blocks is None:
                return False
            found = next(self._blocks, None)
            if found is None:
                self._blocks = None
                # pigz and pzstd cut one archive into several streams, and the kernel reads on.
                name = compression.kind(self.source.peek(6))
                if not name:
                    return False
                self._blocks = compression.expand(self.source, name)
                continue
            self._block, self._at = found, 0
        return True

    @property
    def is_plain(self) -> bool:
        return self._blocks is None and self._at >= len(self._block)

    def take(self, size: int) -> bytes:
        """Exactly `size` bytes. Raises Broken."""
        if self.is_plain:
            data = self.source.peek(size)
            if len(data) < size:
                raise Broken("the archive is cut short")
            self.source.skip(size)
            return data
        at = self._at
        if len(self._block) - at >= size:
            self._at = at + size
            return bytes(self._block[at : at + size])
        return self._joined(size)

    def _joined(self, size: int) -> bytes:
        parts = []
        while size:
            if not self._more():
                raise Broken("the archive is cut short")
            part = bytes(self._block[self._at : self._at + size])
            self._at += len(part)
            size -= len(part)
            parts.append(part)
        return b"".join(parts)

    def skip(self, size: int) -> None:
        """Leave out `size` bytes. Raises Broken."""
        if self.is_plain:
            self.source.skip(size)
            return
        while size:
            here = len(self._block) - self._at
            if size <= here:
                self._at += size
                return
            size -= here
            self._at += here
            if not self._more():
                raise Broken("the archive is cut short")

    def next_archive(self) -> bool:
        """Go to the next archive, over zeros between them; False when there is none."""
        while not self.is_plain and self._more():
            rest = bytes(self._block[self._at :])
            zeros = len(rest) - len(rest.lstrip(b"\0"))
            self._at += zeros
            if zeros < len(rest):
                return True
        while True:
            rest = self.source.peek(4096)
            plain = rest.lstrip(b"\0")
            self.source.skip(len(rest) - len(plain))
            if plain or not rest:
                break
        return bool(self.source.peek(6)) and self._open()

    def _open(self) -> bool:
        head = self.source.peek(6)
        if head in MAGIC:
            return True
        name = compression.kind(head)
        if not name:
            raise Undetermined(f"neither an archive nor a known compression begins with {head.hex()}")
        self.compressions.append(name)
        self._blocks = compression.expand(self.source, name)
        return self._more()


class Archive:
    """The entries of an initramfs, and how its parts were compressed (complete once all entries were read)."""

    def __init__(self, raw: Raw, wanted: Callable[[str], bool] = lambda path: False) -> None:
        self._reader = _Reader(Source(raw))
        self._wanted = wanted

    @property
    def compressions(self) -> tuple[str, ...]:
        """In the order of the parts; none for a part that is not compressed."""
        return tuple(self._reader.compressions)

    def __iter__(self) -> Iterator[Entry]:
        """Every entry, in order. Raises Broken, and Undetermined for a compression that cannot be read."""
        found = False
        while self._reader.next_archive():
            found = True
            yield from self._entries()
        if not found:
            raise Broken("the file is empty")

    def _entries(self) -> Iterator[Entry]:
        reader = self._reader
        take, skip = reader.take, reader.skip
        while True:
            head = take(HEADER)
            if head[:6] not in MAGIC:
                raise Broken("an archive member has no header")
            try:
                mode, size, length = int(head[14:22], 16), int(head[54:62], 16), int(head[94:102], 16)
            except ValueError:
                raise Broken("an archive member's header is damaged") from None
            if not 0 < length <= 4096:
                raise Broken("an archive member's name is damaged")
            name = take(length + (-(HEADER + length) & 3)).split(b"\0", 1)[0]
            if name == TRAILER:
                return
            # dracut's cpio writes ./usr, others usr: one form for both. A name may begin with a dot of its own.
            path = name.decode("utf-8", "surrogateescape")
            path = path[2:] if path[:2] == "./" else path.lstrip("/")
            if size <= CONTENT and mode & 0o170000 == 0o100000 and self._wanted(path):
                yield Entry(path, mode, size, take(size))
                skip(-size & 3)
            else:
                yield Entry(path, mode, size, None)
                skip(size + (-size & 3))
