"""Decompress streams in bounded memory, in the formats that the kernel reads (lib/decompress.c)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, Union

from migprep.model import Undetermined

#: Bytes read, and at most given out, at a time.
READ, GIVEN = 1 << 17, 1 << 18
Block = Union[bytes, memoryview]

#: What `lz4` writes without -l; the kernel knows the older format only (lib/decompress_unlz4.c).
FRAMED = "lz4 frame"
#: First bytes of each format.
MAGIC = {
    b"\x1f\x8b": "gzip", b"\xfd7zXZ\0": "xz", b"BZh": "bzip2", b"\x28\xb5\x2f\xfd": "zstd", b"\x02\x21\x4c\x18": "lz4",
    b"\x5d\0\0": "lzma", b"\x89LZO\0": "lzo",
    b"\x04\x22\x4d\x18": FRAMED,
}  # fmt: skip


class Broken(Undetermined):
    """Compressed data or an archive that is cut short or damaged; the sentence says how."""


def kind(head: bytes) -> str:
    """The name of the format that begins with `head`; "" for none that is known."""
    return next((name for magic, name in MAGIC.items() if head.startswith(magic)), "")


class Raw(Protocol):
    """A file, as far as it is needed."""

    def read(self, size: int, /) -> bytes: ...
    def seek(self, offset: int, whence: int, /) -> int: ...


class Source:
    """A file read forwards, to which a reader can give back what it took too much of."""

    def __init__(self, raw: Raw) -> None:
        self._raw = raw
        self._pending = b""

    def chunk(self) -> bytes:
        """Some bytes, none at the end."""
        data, self._pending = self._pending or self._raw.read(READ), b""
        return data

    def back(self, data: bytes) -> None:
        """Give back the last bytes taken."""
        self._pending = data + self._pending

    def peek(self, size: int) -> bytes:
        """Up to `size` bytes, left where they are."""
        while len(self._pending) < size:
            more = self._raw.read(READ)
            if not more:
                break
            self._pending += more
        return self._pending[:size]

    def take(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end; without a second copy of what is read."""
        held, self._pending = self._pending[:size], self._pending[size:]
        return held + self._raw.read(size - len(held)) if len(held) < size else held

    def skip(self, size: int) -> None:
        """Leave out `size` bytes, without reading those that are not needed."""
        held = len(self._pending)
        if size <= held:
            self._pending = self._pending[size:]
        else:
            self._pending = b""
            self._raw.seek(size - held, 1)


def expand(source: Source, name: str) -> Iterator[Block]:
    """The blocks of one compressed stream; what follows it stays in `source`.

    A block is valid until the next is asked for. Raises Broken, and Undetermined where this
    machine has no means for the format.
    """
    if name == "gzip":
        return _gzip(source)
    if name in ("xz", "lzma", "bzip2"):
        return _engine(source, name)
    if name == "zstd":
        return _zstd(source)
    if name == "lz4":
        return _lz4(source)
    if name == FRAMED:
        raise Broken("lz4 in its frame format, which no kernel expands (lz4 -l writes the one it does)")
    raise Undetermined(f"compressed with {name}, which cannot be read here")


def _gzip(source: Source) -> Iterator[Block]:
    import zlib

    engine = zlib.decompressobj(31)  # with gzip header and checksum
    data = source.chunk()
    try:
        while True:
            out = engine.decompress(data, GIVEN)
            if out:
                yield out
            if engine.eof:
                source.back(engine.unused_data)
                return
            data = engine.unconsumed_tail
            if not data and not out:
                data = source.chunk()
                if not data:
                    raise Broken("the gzip stream is cut short")
    except zlib.error as error:
        raise Broken(f"the gzip stream is damaged: {error}") from None


def _engine(source: Source, name: str) -> Iterator[Block]:
    engine: Any
    faults: tuple[type[Exception], ...]
    if name == "bzip2":
        import bz2

        engine, faults = bz2.BZ2Decompressor(), (OSError, ValueError)
    else:
        import lzma

        engine, faults = lzma.LZMADecompressor(), (lzma.LZMAError, ValueError)
    while not engine.eof:
        data = source.chunk() if engine.needs_input else b""
        if not data and engine.needs_input:
            raise Broken(f"the {name} stream is cut short")
        try:
            out = engine.decompress(data, GIVEN)
        except faults as error:
            raise Broken(f"the {name} stream is damaged: {error}") from None
        if out:
            yield out
    source.back(engine.unused_data)


def _library(name: str) -> Any:
    import ctypes

    try:
        return ctypes.CDLL(name)
    except OSError:
        return None


def _zstd(source: Source) -> Iterator[Block]:
    library = _library("libzstd.so.1")
    if library is not None:
        return _zstd_library(source, library)
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]  # Python 3.14
    except ImportError:
        raise Undetermined("compressed with zstd, and libzstd.so.1 is not installed here") from None
    return _zstd_python(source, zstd)


def _zstd_python(source: Source, zstd: Any) -> Iterator[Block]:
    engine = zstd.ZstdDecompressor()
    while not engine.eof:
        data = source.chunk() if engine.needs_input else b""
        if not data and engine.needs_input:
            raise Broken("the zstd stream is cut short")
        try:
            out = engine.decompress(data, GIVEN)
        except zstd.ZstdError as error:
            raise Broken(f"the zstd stream is damaged: {error}") from None
        if out:
            yield out
    source.back(engine.unused_data)


def _zstd_library(source: Source, library: Any) -> Iterator[Block]:
    # ZSTD_decompressStream(ZSTD_DStream*, ZSTD_outBuffer*, ZSTD_inBuffer*); a buffer is {pointer, size, position}.
    from ctypes import POINTER, Structure, addressof, byref, c_char_p, c_size_t, c_void_p, cast, create_string_buffer

    class Buffer(Structure):
        _fields_ = (("data", c_void_p), ("size", c_size_t), ("at", c_size_t))

    library.ZSTD_createDStream.restype = c_void_p
    library.ZSTD_freeDStream.argtypes = (c_void_p,)
    library.ZSTD_decompressStream.argtypes = (c_void_p, POINTER(Buffer), POINTER(Buffer))
    library.ZSTD_decompressStream.restype = c_size_t
    library.ZSTD_isError.argtypes = (c_size_t,)
    library.ZSTD_getErrorName.argtypes, library.ZSTD_getErrorName.restype = (c_size_t,), c_char_p
    space = create_string_buffer(GIVEN)
    view = memoryview(space).cast("B")
    engine = library.ZSTD_createDStream()
    given = Buffer(addressof(space), GIVEN, 0)
    try:
        left = 1
        full = False
        while left:
            data = b"" if full else source.chunk()
            if not data and not full:
                raise Broken("the zstd stream is cut short")
            if not full:
                kept = data
                taken = Buffer(cast(c_char_p(kept), c_void_p), len(kept), 0)
            while True:
                given.at = 0
                left = library.ZSTD_decompressStream(engine, byref(given), byref(taken))
                if library.ZSTD_isError(left):
                    raise Broken(f"the zstd stream is damaged: {library.ZSTD_getErrorName(left).decode()}")
                if given.at:
                    yield view[: given.at]
                full = given.at == GIVEN and taken.at == taken.size
                if not left or taken.at == taken.size:
                    break
            if not left:
                source.back(kept[taken.at :])
    finally:
        library.ZSTD_freeDStream(engine)


def _lz4(source: Source) -> Iterator[Block]:
    library = _library("liblz4.so.1")
    if library is None:
        raise Undetermined("compressed with lz4, and liblz4.so.1 is not installed here")
    return _lz4_library(source, library)


#: Bytes in a full block of the legacy LZ4 format (lz4_Frame_format.md, "Legacy frame"): 8 MiB.
LZ4_BLOCK = 8 << 20


def _lz4_library(source: Source, library: Any) -> Iterator[Block]:
    from ctypes import create_string_buffer

    source.skip(4)
    space = create_string_buffer(LZ4_BLOCK)
    view = memoryview(space).cast("B")
    while True:
        head = source.peek(4)
        size = int.from_bytes(head, "little")
        # The end of a legacy stream is not marked: the file ends, or something that is no block follows.
        if len(head) < 4 or size == 0 or size > LZ4_BLOCK + LZ4_BLOCK // 255 + 16:
            if size == 0x184C2102:
                source.skip(4)
                continue
            return
        source.skip(4)
        data = source.take(size)
        if len(data) < size:
            raise Broken("the LZ4 stream is cut short")
        made = library.LZ4_decompress_safe(data, space, size, LZ4_BLOCK)
        if made < 0:
            raise Broken("the LZ4 stream is damaged")
        del data
        yield view[:made]
