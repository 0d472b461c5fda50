# NAME NUMBER LAYERS MACHINE INIT: become this machine, a tree of its own with MACHINE's files, and serve ssh: under systemd, or
# alone as its process 1.
# libudev reads the made-up /sys once it is told not to ask whether a kernel made it.
T=$WORK/$1/tree
mount -t overlay /dev/sda1 -o "lowerdir=$3,upperdir=$WORK/$1/upper,workdir=$WORK/$1/work" "$T"
mount -t proc proc "$T/proc"
for folder in dev run tmp; do mount -t tmpfs tmpfs "$T/$folder"; done
DEVICES
cp -a "$DISK" "$T/dev/sda"
tar -C "$4" -c . | tar -C "$T" -x --keep-directory-symlink
hostname "$1"
echo "$1" >"$T/etc/hostname"
mkdir -p "$T/root/.ssh" "$T/run/sshd"
chmod 700 "$T/root/.ssh"
cp "$WORK/key.pub" "$T/root/.ssh/authorized_keys"
cp "$WORK/hostkey" "$T/etc/ssh/key"
cat >"$T/etc/ssh/config" <<END
ListenAddress 192.0.2.$2
HostKey /etc/ssh/key
AuthenticationMethods publickey
UsePAM no
Subsystem sftp internal-sftp
SetEnv SYSTEMD_DEVICE_VERIFY_SYSFS=0
END
[ "$5" = systemd ] || exec chroot "$T" /usr/sbin/sshd -D -e -f /etc/ssh/config

# systemd leaves alone what is mounted already, takes no device from a /sys that is read-only, and spares the kernel's settings
# (all but its audit) once it is told that it runs in a container. Whoever logs in finds no sign of that, for a container is not to be moved.
mkdir -p "$T/sys/fs/cgroup" "$T/run/host"
mount --bind "$T/sys" "$T/sys"
mount -t cgroup2 cgroup2 "$T/sys/fs/cgroup"
mount -o remount,bind,ro "$T/sys"
mount --bind "$T/proc/sys" "$T/proc/sys"
mount -o remount,bind,ro "$T/proc/sys"
echo other >"$T/run/host/container-manager"
rm -f "$T/etc/systemd/system/"*/ssh.service
cat >"$T/etc/systemd/system/fleet.service" <<END
[Service]
ExecStartPre=/bin/rm -rf /run/host /run/systemd/container
ExecStart=/usr/sbin/sshd -D -e -f /etc/ssh/config
END
printf '[Journal]\nAudit=\n' >"$T/etc/systemd/journald.conf"
ln -s /dev/null "$T/etc/systemd/system/systemd-journald-audit.socket"
ln -s ../fleet.service "$T/etc/systemd/system/multi-user.target.wants/fleet.service"
exec env -i "PATH=$PATH" chroot "$T" /lib/systemd/systemd --unit=multi-user.target
