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

files() {  # every file that is the machine's own, with mode, owner and content
  find /etc /boot /usr/local /usr/lib/systemd /usr/lib/udev /usr/lib/dracut /usr/share/initramfs-tools /lib/modprobe.d /srv /root /opt -xdev \
    ! -path '/etc/mtab' ! -path '/etc/resolv.conf' ! -path '/etc/machine-id' ! -path '/etc/lvm/cache/*' ! -path '/etc/lvm/archive*' ! -path '/etc/lvm/backup*' \
    \( -type l -printf 'l %m %u %g %p -> %l\n' -o -type d -printf 'd %m %u %g %p\n' -o -type f -printf 'f %m %u %g %s %p\n' \) | sort
  find /etc /boot /usr/local /srv /root /opt -xdev -type f -print0 | sort -z | xargs -0 sha256sum
}

manifest() { tell manifest; files >manifest; say manifest; sha256sum <manifest >>said; say files; packed manifest; }
