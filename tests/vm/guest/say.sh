#!/bin/sh
# Runs in the guest: do what ./acts lists, tell what was reached, in sections, on the second
# serial line. Only facts; the lab judges.
cd /run/lab || exit 0
stty -F /dev/ttyS1 raw -echo 115200 2>/dev/null
say() { echo "@@$*" >>said; }
tell() { echo "lab: $*" >/dev/ttyS0; }
export PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin LC_ALL=C

settle() {  # until no start-up job is left and the gateway answers, or time is up
  i=0
  while [ $i -lt 40 ]; do
    jobs=$(systemctl list-jobs --no-legend 2>/dev/null | grep -c .)
    if [ "$jobs" = 0 ]; then
      ping -c1 -W2 10.0.2.2 >/dev/null 2>&1 && return
      [ $i -ge 12 ] && return
    fi
    [ $((i % 10)) = 9 ] && tell "waiting, $jobs jobs"
    i=$((i + 1)); sleep 3
  done
}

reached() {
  say root; findmnt -rno SOURCE,FSTYPE,UUID / >>said
  say mounts; findmnt -rno TARGET,SOURCE,FSTYPE,UUID --real >>said
  say swap; swapon --show=NAME,UUID --noheadings --raw >>said
  say failed; systemctl list-units --failed --plain --no-legend --no-pager >>said
  say links; ip -j link >>said
  say addresses; ip -j addr >>said
  say routes; ip -j route >>said
  say ping; ping -c1 -W5 10.0.2.2 >/dev/null 2>&1 && echo yes >>said || echo no >>said
  say kernel; uname -r >>said
  say cmdline; cat /proc/cmdline >>said
}

migprep() { PYTHONPATH=/run/lab/product python3 -m migprep "$@"; }

check() {
  for target; do
    tell "check for $target"
    start=$(cut -d' ' -f1 /proc/uptime)
    migprep check --target "$target" --format json --output "report.$target" >out 2>&1
    code=$?
    say "check $target $code $start $(cut -d' ' -f1 /proc/uptime)"; tail -c 2000 out | tr -cd '\11\12\40-\176' | sed 's/^@@/@ @/' >>said
    say "report $target"; [ -s "report.$target" ] && gzip -c "report.$target" | base64 -w 1000 >>said
  done
}

manifest() {  # every file that is the machine's own, with mode, owner and content
  find /etc /boot /usr/local /usr/lib/systemd /usr/lib/udev /usr/lib/dracut /usr/share/initramfs-tools /lib/modprobe.d /srv /root /opt -xdev \
    ! -path '/etc/mtab' ! -path '/etc/resolv.conf' ! -path '/etc/machine-id' ! -path '/etc/lvm/cache/*' ! -path '/etc/lvm/archive*' ! -path '/etc/lvm/backup*' \
    \( -type l -printf 'l %m %u %g %p -> %l\n' -o -type d -printf 'd %m %u %g %p\n' -o -type f -printf 'f %m %u %g %s %p\n' \) | sort
  find /etc /boot /usr/local /srv /root /opt -xdev -type f -print0 | sort -z | xargs -0 sha256sum
}

act() {
  case $1 in
    settle) settle ;;
    reached) reached ;;
    check) shift; check "$@" ;;
    fix|rollback)
      tell "$*"
      (while sleep 60; do tell "still at it"; done) & beat=$!
      start=$(cut -d' ' -f1 /proc/uptime)
      migprep "$@" >out 2>&1
      code=$?; kill $beat 2>/dev/null
      say "$1 $code $start $(cut -d' ' -f1 /proc/uptime)"; tail -c 6000 out | tr -cd '\11\12\40-\176' | sed 's/^@@/@ @/' >>said ;;
    manifest) tell manifest; manifest >manifest; say manifest; sha256sum <manifest >>said; say files; gzip -c manifest | base64 -w 1000 >>said ;;
  esac
}

: >said
while read -r line; do act $line; done <acts
say end "$(sha256sum <said | cut -d' ' -f1)"
tell "said $(wc -c <said) bytes"
cat said >/dev/ttyS1
grep -q '^poweroff' acts && { sync; systemctl poweroff; }
