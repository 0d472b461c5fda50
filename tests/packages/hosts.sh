# A small fleet in network namespaces: $WORK, $KEY and the layers of each host are given; all of it ends with this script.
# Sourced with mounts, network and processes of its own; host NAME NUMBER LAYERS MACHINE INIT starts one at 192.0.2.NUMBER.
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mkdir /run/groups
mount -t cgroup2 cgroup2 /run/groups
GROUP=$(mktemp -d /run/groups/migprep-XXXXXX)
export HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
ip link set lo up
ip link add lan type bridge
ip addr add 192.0.2.1/24 dev lan
ip link set lan up

# The disk of all of them, with boot code; it vanishes with the last who has it open.
truncate --size 1M "$WORK/disk"
printf GRUB | dd of="$WORK/disk" conv=notrunc status=none
printf '\125\252' | dd of="$WORK/disk" bs=1 seek=510 conv=notrunc status=none
DISK=$(losetup --find --show "$WORK/disk")
exec 9<"$DISK"
losetup --detach "$DISK"
export DISK

wired() {
    ip netns add "$1"
    ip link add "to-$1" type veth peer name eth0 netns "$1"
    ip link set "to-$1" master lan up
    ip -n "$1" link set lo up
    ip -n "$1" addr add "192.0.2.$2/24" dev eth0
    ip -n "$1" link set eth0 up
}

host() {
    wired "$1" "$2"
    mkdir "$WORK/$1" "$WORK/$1/upper" "$WORK/$1/work" "$WORK/$1/tree" "$GROUP/$1"
    GROUP="$GROUP/$1" sh -euc 'echo $$ >"$GROUP/cgroup.procs"
        exec ip netns exec "$1" unshare --mount --uts --ipc --pid --cgroup --fork --kill-child --propagation private \
            sh -eu "$WORK/machine.sh" "$@"' host "$@" >"$WORK/$1/log" 2>&1 &
    HOSTS="$! $HOSTS"
    for turn in $(seq 300); do
        if ssh -F "$WORK/ssh_config" "192.0.2.$2" true 2>"$WORK/$1/ssh.log"; then return 0; fi
        sleep 0.2
    done
    cat "$WORK/$1/log" "$WORK/$1/ssh.log"
    return 1
}

# Kernel groups outlive their processes.
end() {
    kill -s KILL $HOSTS || true
    wait $HOSTS || true
    while grep -q "populated 1" "$GROUP/cgroup.events"; do sleep 0.1; done
    find "$GROUP" -depth -type d -exec rmdir {} +
}
HOSTS=
trap end EXIT
