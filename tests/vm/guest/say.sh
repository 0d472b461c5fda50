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

act() {
  case $1 in
    settle) settle ;;
    reached) reached ;;
    poweroff) ;;
    *) . ./act.sh; "$@" ;;
  esac
}

: >said
while read -r line; do act $line; done <acts
say end "$(sha256sum <said | cut -d' ' -f1)"
tell "said $(wc -c <said) bytes"
cat said >/dev/ttyS1
grep -q '^poweroff' acts && { sync; systemctl poweroff; }
