# What the guest does with the product, beside telling what it reached: one function an act.
migprep() { PYTHONPATH=/run/lab/product python3 -m migprep "$@"; }
now() { cut -d' ' -f1 /proc/uptime; }
words() { tail -c "$1" out | tr -cd '\11\12\40-\176' | sed 's/^@@/@ @/' >>said; echo >>said; }
packed() { gzip -c "$1" | base64 -w 1000 >>said; }

watched() {  # run what takes long, with a sign of life every minute
  (while sleep 60; do tell "still at it"; done) & beat=$!
  "$@" </dev/null >out 2>&1; code=$?
  kill $beat 2>/dev/null
}

late() {  # what the scenario does to its own machine before that is judged
  tell late
  start=$(now)
  watched sh -eu ./late
  say "late $code $start $(now)"; words 2000
}

check() {
  tell "check for $*"
  start=$(now)
  for target; do set -- "$@" --target "$target"; shift; done
  watched migprep check "$@" --format json --output report
  say "check $code $start $(now)"; words 2000
  [ -s report ] && { say report; packed report; }
}

capture() {
  tell capture
  start=$(now)
  watched migprep capture -o capture.tar.gz
  say "capture $code $start $(now)"; words 2000
  [ -s capture.tar.gz ] && { say archive; base64 -w 1000 capture.tar.gz >>said; }
}

mend() {
  tell "$*"
  start=$(now)
  watched migprep "$@"
  say "$1 $code $start $(now)"; words 6000
}
fix() { mend fix "$@"; }
rollback() { mend rollback "$@"; }

unit() {  # judge in the shell and in the packaged unit, both from nothing known
  tell unit
  start=$(now)
  sed 's|^ExecStart=/usr/bin/migprep|Environment=PYTHONPATH=/run/lab/product\nExecStart=/usr/bin/python3 -m migprep|' \
    product/migprep-check.service >/run/systemd/system/migprep-check.service
  systemctl daemon-reload
  rm -rf /var/cache/migprep /var/lib/migprep
  watched migprep check --format json --output outside.json
  rm -rf /var/cache/migprep
  watched systemctl start migprep-check.service
  python3 - outside.json /var/lib/migprep/reports/*.json >out 2>&1 <<'END'
import json, sys
outside, inside = (json.load(open(path)) for path in sys.argv[1:])
def differences(a, b, where):
    if isinstance(a, dict) and isinstance(b, dict):
        return [one for key in sorted({*a, *b}) for one in differences(a.get(key), b.get(key), f"{where}.{key}")]
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [one for at, (x, y) in enumerate(zip(a, b)) for one in differences(x, y, f"{where}[{at}]")]
    return [] if a == b else [f"{where}: outside {a!r}, inside {b!r}"]
for one in (outside, inside):
    del one["run"]["started"], one["run"]["seconds"]
found = differences(outside, inside, "report")
print("\n".join(found[:20]) or f"the same: {len(inside['results'])} results, {len(inside['run']['gaps'])} gaps")
sys.exit(bool(found))
END
  code=$?
  systemctl show -p Result,ExecMainStatus,MemoryPeak,CPUUsageNSec migprep-check.service >>out
  systemd-analyze security --no-pager migprep-check.service 2>/dev/null | tail -1 | tr -cd '\11\12\40-\176' >>out
  journalctl --no-pager -o cat -u migprep-check.service | head -60 >>out
  say "unit $code $start $(now)"; words 6000
}

files() {  # every file that is the machine's own, with mode, owner and content
  esp=$(findmnt -no TARGET /boot/efi)
  find $esp /etc /boot /usr/local /usr/lib/systemd /usr/lib/udev /usr/lib/dracut /usr/share/initramfs-tools /lib/modprobe.d /srv /root /opt -xdev \
    ! -path '/etc/mtab' ! -path '/etc/resolv.conf' ! -path '/etc/machine-id' ! -path '/etc/lvm/cache/*' ! -path '/etc/lvm/archive*' ! -path '/etc/lvm/backup*' \
    \( -type l -printf 'l %m %u %g %p -> %l\n' -o -type d -printf 'd %m %u %g %p\n' -o -type f -printf 'f %m %u %g %s %p\n' \) | sort
  find $esp /etc /boot /usr/local /srv /root /opt -xdev -type f -print0 | sort -z | xargs -0 sha256sum
}

manifest() { tell manifest; files >manifest; say manifest; sha256sum <manifest >>said; say files; packed manifest; }
