"""Build migprep as one file that runs on machines of any age: python3 packaging/onefile/build.py [-o FILE].

CPython from Debian's source package and psutil's C code are compiled by zig for a glibc of 2009 and linked into one ELF;
the standard library, the libraries and the program follow as a zip in a section of the same file, so that nothing is
unpacked at run time. Every archive is checked against a sum kept here. What was compiled is kept in a cache folder.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from inspect import getsource
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
PINS = json.loads((HERE / "sources.json").read_text())
#: Standard modules in C that nothing here needs, and those that would need a library of the machine.
LEFT_OUT = (
    "_asyncio _codecs_cn _codecs_hk _codecs_iso2022 _codecs_jp _codecs_kr _codecs_tw _multibytecodec _ssl _hashlib "
    "_sqlite3 _tkinter _dbm _gdbm readline _curses _curses_panel _uuid nis _lsprof _interpreters _interpchannels "
    "_interpqueues _zoneinfo _statistics cmath _decimal _posixshmem _multiprocessing syslog xxsubtype xxlimited "
    "xxlimited_35 _xxtestfuzz"
).split()


class BuildError(Exception):
    """What stands in the way, in one sentence."""


def main() -> int:
    """Build, and say where the file is and how large."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=CHECKOUT / "dist" / "migprep")
    parser.add_argument("--cache", type=Path, default=_cache(), help="where sources and compiled parts are kept")
    options = parser.parse_args()
    try:
        size = build(options.cache.resolve(), options.output.resolve())
    except BuildError as error:
        print(f"onefile: {error}", file=sys.stderr)
        return 1
    print(f"{options.output}: {size / 1e6:.1f} MB, sha256 {_sum(options.output)}")
    return 0


def _cache() -> Path:
    return Path(os.environ.get("MIGPREP_ONEFILE") or Path.home() / ".cache" / "migprep-onefile")


def build(cache: Path, output: Path) -> int:
    """Make `output`; every stage is kept in `cache` under the sum of what it is made of. Its size in bytes."""
    for tool in ("apt-get", "dpkg-source", "make", "objcopy", "xz"):
        if not shutil.which(tool):
            raise BuildError(f"{tool} is missing: apt-get install dpkg-dev make binutils xz-utils")
    cache.mkdir(parents=True, exist_ok=True)
    wheels = _stage(cache, "libraries", _files("requirements.txt"), _fetch_libraries)
    sources = _stage(cache, "sources", _files("sources.json"), _fetch_sources)
    made_of = _files("sources.json", "requirements.txt") + getsource(_compiler) + getsource(_compile_libraries)
    libraries = _stage(cache, "libs", made_of, lambda half: _compile_libraries(half, wheels, sources))
    made_of += getsource(_compile_python) + " ".join(LEFT_OUT)
    python = _stage(cache, "python", made_of, lambda half: _compile_python(half, wheels, sources, libraries))
    made_of += getsource(_link) + _files("launcher.c")
    stub = _stage(cache, "stub", made_of, lambda half: _link(half, wheels, libraries, python))
    return _join(cache, wheels, sources, python, stub / "migprep", output)


# --- stages ---


def _files(*names: str) -> str:
    return "".join((HERE / name).read_text() for name in names)


def _stage(cache: Path, name: str, made_of: str, make: object) -> Path:
    folder = cache / f"{name}-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"
    if folder.exists():
        return folder
    print(f"onefile: {name} …", flush=True)
    half = cache / f"{name}.half"
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir()
    make(half)  # type: ignore[operator]
    half.rename(folder)
    return folder


def _run(argv: list[str], folder: Path, environment: dict[str, str] | None = None) -> None:
    log = folder / "build.log"
    with log.open("ab") as stream:
        done = subprocess.run(argv, cwd=folder, env={**os.environ, **(environment or {})}, stdout=stream, stderr=stream)
    if done.returncode:
        raise BuildError(f"{' '.join(argv)[:200]} failed: {' '.join(log.read_text(errors='replace').split())[-600:]}")


def _sum(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _fetch_libraries(half: Path) -> None:
    """zig and the pure parts of what migprep needs, unpacked; psutil's sources."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps", "--dest", "wheels",
           "--python-version", PINS["python"], "--platform", "manylinux2014_x86_64", "--only-binary", ":all:"]  # fmt: skip
    lines = (HERE / "requirements.txt").read_text().split("\n")
    wanted = [line for line in lines if line and not line.startswith("#")]
    wheels = [line for line in wanted if "--no-binary" not in line]
    (half / "wheels.txt").write_text("\n".join(wheels))
    _run([*pip, "-r", "wheels.txt"], half)
    for line in wanted:
        if "--no-binary" in line:
            requirement, _, rest = line.partition(" --no-binary ")
            (half / "sdist.txt").write_text(f"{requirement} {rest.partition(' ')[2]}")
            argv = [sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps"]
            _run([*argv, "--dest", "wheels", "--no-binary", ":all:", "-r", "sdist.txt"], half)
    for path in sorted((half / "wheels").iterdir()):
        folder = half / path.name.partition("-")[0].lower()
        shutil.unpack_archive(path, folder, "gztar" if path.name.endswith(".tar.gz") else "zip")
    (half / "ziglang" / "ziglang" / "zig").chmod(0o755)


def _fetch_sources(half: Path) -> None:
    """Debian's source packages through apt, with lists of its own: this machine's settings stay as they are."""
    site = subprocess.run(["apt-get", "indextargets", "--format", "$(SITE)"], capture_output=True, text=True).stdout
    sites = [line for line in site.split("\n") if line.rstrip("/").endswith("/debian")]
    if not sites:
        raise BuildError("this machine's apt names no Debian archive")
    for name in ("parts", "lists/partial"):
        (half / name).mkdir(parents=True)
    suites = " ".join(sorted({pin["suite"] for pin in PINS["archives"].values()}))
    keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (half / "parts/source.sources").write_text(
        f"Types: deb-src\nURIs: {sites[0]}\nSuites: {suites}\nComponents: main\nSigned-By: {keys}\n"
    )
    settings = {
        "Dir::Etc::SourceList": "/dev/null", "Dir::Etc::SourceParts": half / "parts", "Dir::State::Lists": half / "lists",
        "Dir::State::status": "/dev/null", "Dir::Cache::pkgcache": "", "Dir::Cache::srcpkgcache": "",
        "APT::Sandbox::User": "root",
    }  # fmt: skip
    apt = ["apt-get", "-q", *(word for key, value in settings.items() for word in ("-o", f"{key}={value}"))]
    _run([*apt, "update"], half)
    for package, pin in PINS["archives"].items():
        only = [] if package.startswith("python") else ["--tar-only"]
        _run([*apt, "source", "--download-only", *only, f"{package}/{pin['suite']}"], half)
        found = half / pin["name"]
        if not found.is_file():
            raise BuildError(f"{pin['name']} is no longer what Debian {pin['suite']} has: sources.json needs a new name")
        if _sum(found) != pin["sha256"]:
            raise BuildError(f"{pin['name']} is not the file whose sum sources.json holds")
        if not only:
            _run(["dpkg-source", "--no-check", "-x", next(half.glob("*.dsc")).name, package], half)
        else:
            _unpack(found, half / package)
    shutil.rmtree(half / "lists")


def _unpack(archive: Path, folder: Path) -> None:
    """The one folder of a source archive, as `folder`."""
    whole = folder.with_name(f"{folder.name}.whole")
    with tarfile.open(archive) as tar:
        tar.extractall(whole, filter="data") if hasattr(tarfile, "data_filter") else tar.extractall(whole)  # noqa: S202
    next(whole.iterdir()).rename(folder)
    whole.rmdir()


def _compiler(half: Path, wheels: Path) -> dict[str, str]:
    """zig as a C compiler for an old glibc, and the environment to call it in."""
    zig = wheels / "ziglang" / "ziglang" / "zig"
    for name, words in (
        ("cc", f"cc -target {PINS['target']} -fno-sanitize=undefined -Wno-date-time -g0 -ffile-prefix-map={half}=/build"),
        ("ar", "ar"),
        ("ranlib", "ranlib"),
    ):
        (half / f"z{name}").write_text(f'#!/bin/sh\nexec {zig} {words} "$@"\n')
        (half / f"z{name}").chmod(0o755)
    return {
        "CC": str(half / "zcc"), "AR": str(half / "zar"), "RANLIB": str(half / "zranlib"),
        "ZIG_GLOBAL_CACHE_DIR": str(half / "zig"), "ZIG_LOCAL_CACHE_DIR": str(half / "zig"),
        "SOURCE_DATE_EPOCH": "0", "LC_ALL": "C", "TZ": "UTC", "CONFIG_SITE": "/dev/null",
    }  # fmt: skip


def _compile_libraries(half: Path, wheels: Path, sources: Path) -> None:
    """zlib, bzip2, xz and libffi as static libraries below lib, their headers below include."""
    env = _compiler(half, wheels) | {"CFLAGS": "-O2 -fPIC -Wno-implicit-function-declaration"}
    for package in ("zlib", "bzip2", "xz-utils", "libffi"):
        shutil.copytree(sources / package, half / package, symlinks=True)
    jobs = f"-j{os.cpu_count() or 1}"
    quiet = ["--prefix=/", "--disable-shared", "--enable-static", "--disable-dependency-tracking"]
    _run(["sh", "-c", f"cd zlib && ./configure --static --prefix=/ && make {jobs} libz.a"], half, env)
    _run(["sh", "-c", f"cd bzip2 && make {jobs} CC=$CC AR=$AR RANLIB=$RANLIB CFLAGS='-O2 -fPIC -D_FILE_OFFSET_BITS=64' libbz2.a"], half, env)
    tools = [f"--disable-{name}" for name in ("xz", "xzdec", "lzmadec", "lzmainfo", "scripts", "doc", "nls")]
    _run(["sh", "-c", f"cd xz-utils && ./configure {' '.join(quiet + tools)} && make {jobs} -C src/liblzma"], half, env)
    _run(["sh", "-c", f"cd libffi && ./configure {' '.join(quiet)} --disable-docs --host=x86_64-pc-linux-gnu && make {jobs}"], half, env)
    (half / "lib").mkdir()
    for found in ("zlib/libz.a", "bzip2/libbz2.a", "xz-utils/src/liblzma/.libs/liblzma.a"):
        shutil.copy(half / found, half / "lib")
    shutil.copy(next((half / "libffi").rglob("libffi.a")), half / "lib")
    (half / "include").mkdir()
    headers = ["zlib/zlib.h", "zlib/zconf.h", "bzip2/bzlib.h", "xz-utils/src/liblzma/api/lzma.h"]
    for header in [*(half / one for one in headers), *(half / "libffi").glob("x86_64*/include/*.h")]:
        shutil.copy(header, half / "include")
    shutil.copytree(half / "xz-utils/src/liblzma/api/lzma", half / "include/lzma")
    for package in ("zlib", "bzip2", "xz-utils", "libffi", "zig"):
        shutil.rmtree(half / package)


def _compile_python(half: Path, wheels: Path, sources: Path, libraries: Path) -> None:
    """CPython with every module linked in: libpython.a, its headers, and an interpreter to compile the zip with."""
    shutil.copytree(sources / f"python{PINS['python']}", half / "source", symlinks=True)
    env = _compiler(half, wheels)
    env |= {"MODULE_BUILDTYPE": "static", "OPT": "-DNDEBUG -O2 -fwrapv", "PKG_CONFIG": "false"}
    for name, library in (("ZLIB", "z"), ("BZIP2", "bz2"), ("LIBLZMA", "lzma"), ("LIBFFI", "ffi")):
        env |= {f"{name}_CFLAGS": f"-I{libraries}/include", f"{name}_LIBS": f"-L{libraries}/lib -l{library}"}
    # Three probes only compile, and so find what a glibc before 2.16 has not.
    absent = ["ac_cv_func_prlimit=no", "ac_cv_header_linux_auxvec_h=no", "ac_cv_header_sys_auxv_h=no"]
    absent += [f"py_cv_module_{name}=n/a" for name in LEFT_OUT]
    options = "--disable-shared --without-ensurepip --disable-test-modules --prefix=/build"
    _run(["sh", "-c", f"cd source && ./configure {options} {' '.join(absent)}"], half, env)
    modules = (half / "source/Modules/Setup.stdlib").read_text()
    (half / "source/Modules/Setup.local").write_text(modules)
    _run(["sh", "-c", f"cd source && make -j{os.cpu_count() or 1} python"], half, env)
    shutil.rmtree(half / "zig")


def _link(half: Path, wheels: Path, libraries: Path, python: Path) -> None:
    """The launcher, the interpreter and psutil's C code as one executable."""
    env = _compiler(half, wheels)
    source = python / "source"
    psutil = next((wheels / "psutil").iterdir())
    version = psutil.name.rpartition("-")[2].split(".")
    code = [psutil / "psutil/_psutil_linux.c"]
    for part in ("all", "posix", "linux"):
        code += sorted((psutil / "psutil/arch" / part).glob("*.c"))
    defines = ["-DPSUTIL_POSIX=1", "-DPSUTIL_LINUX=1", f"-DPSUTIL_VERSION={int(version[0]) * 100 + int(version[1]) * 10 + int(version[2])}"]
    libs = [f"-L{libraries}/lib", "-lz", "-lbz2", "-llzma", "-lffi", "-lpthread", "-ldl", "-lutil", "-lrt", "-lm"]
    more = sorted(str(path) for path in source.glob("Modules/**/lib*.a"))
    _run(
        [str(half / "zcc"), "-O2", "-s", "-rdynamic", "-o", "migprep", str(HERE / "launcher.c"), *map(str, code), *defines,
         "-Wno-error", f"-ffile-prefix-map={wheels}=/build", f"-I{source}", f"-I{source}/Include", f"-I{source}/Include/internal", f"-I{psutil}/psutil",
         str(source / f"libpython{PINS['python']}.a"), *more, *libs],
        half, env,
    )  # fmt: skip
    shutil.rmtree(half / "zig")


def _join(cache: Path, wheels: Path, sources: Path, python: Path, stub: Path, output: Path) -> int:
    """The executable with its zip in a section of its own, which survives strip(1)."""
    archive = cache / "migprep.zip"
    revision = next(sources.glob("python*.dsc")).name.partition("_")[2].removesuffix(".dsc")
    built = f"one file: CPython {revision}, for glibc 2.11 and Linux 2.6.32 or newer on x86-64"
    interpreter = python / "source/python"
    argv = [str(interpreter), "-I", str(HERE / "pack.py"), str(archive), str(python / "source/Lib"), str(wheels), str(CHECKOUT), built]
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"pack.py failed: {done.stderr.strip()[-600:]}")
    output.parent.mkdir(parents=True, exist_ok=True)
    new = output.with_name(f".{output.name}.new")
    _run(["objcopy", "--add-section", f".migprep={archive}", str(stub), str(new)], cache)
    new.chmod(0o755)
    new.rename(output)
    return output.stat().st_size


if __name__ == "__main__":
    raise SystemExit(main())
