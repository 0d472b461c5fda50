#!/bin/sh
# The first process of a user-mode kernel: make the storage stack of @DISK@ on ubda and fill it
# from ubdb (root or the only filesystem) and ubdc (data, or the mirror's other half).
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /run/lock /run/udev
mount -t tmpfs tmpfs /tmp
mount -t hostfs -o /usr/lib/uml/modules none /lib/modules
load() { for m; do modprobe "$m" || echo "no module $m"; done; }
fill() { dd if="$1" of="$2" bs=1M status=none; }
set -e
case " $(cat /proc/cmdline) " in
  *" lab=lvm "*)
    load dm-mod
    conf='devices{ types=["ubd",16] scan=["/dev"] filter=["a|.*|"] use_devicesfile=0 } activation{ udev_sync=0 udev_rules=0 } global{ locking_type=1 use_lvmpolld=0 } backup{ backup=0 archive=0 }'
    pvcreate --config "$conf" -ff -y --norestorefile --uuid 000001-1ab0-1ab0-1ab0-1ab0-1ab0-000001 /dev/ubda
    vgcreate --config "$conf" vg0 /dev/ubda
    size=$(( $(blockdev --getsize64 /dev/ubdb) / 1048576 ))
    lvcreate --config "$conf" -y -Wn -Zn -L ${size}M -n root vg0
    lvcreate --config "$conf" -y -Wn -Zn -L 64M -n data vg0
    lvcreate --config "$conf" -y -Wn -Zn -L 64M -n swap vg0
    vgmknodes --config "$conf" || :
    fill /dev/ubdb /dev/mapper/vg0-root
    fill /dev/ubdc /dev/mapper/vg0-data
    mkswap -U @SWAPID@ /dev/mapper/vg0-swap
    sync; vgchange --config "$conf" -an vg0 ;;
  *" lab=luks-root "*|*" lab=luks-data "*)
    load encrypted-keys dm-mod dm-crypt
    cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --uuid @LUKSID@ /dev/ubda /etc/keys/lab.key
    cryptsetup open --key-file /etc/keys/lab.key /dev/ubda c
    fill /dev/ubdb /dev/mapper/c
    sync; cryptsetup close c ;;
  *" lab=md "*)
    load md-mod raid1
    mdadm --create /dev/md0 --run --assume-clean --metadata=1.2 --homehost=any --level=1 --raid-devices=2 --uuid=@MDID@ /dev/ubda /dev/ubdc
    fill /dev/ubdb /dev/md0
    sync; mdadm --stop /dev/md0 ;;
  *" lab=extlinux "*)
    mkdir -p /tmp/disk; mount -t ext4 /dev/ubda /tmp/disk
    extlinux --install /tmp/disk/boot/extlinux
    umount /tmp/disk ;;
esac
touch /run/stack.done
sync
echo o >/proc/sysrq-trigger
sleep 5
