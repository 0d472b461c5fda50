# NAME NUMBER LAYERS MACHINE: become this machine, a tree of its own with MACHINE's files, and serve ssh as its process 1.
# libudev reads the made-up /sys once it is told not to ask whether a kernel made it.
T=$WORK/$1/tree
mount -t overlay /dev/sda1 -o "lowerdir=$3,upperdir=$WORK/$1/upper,workdir=$WORK/$1/work" "$T"
mount -t proc proc "$T/proc"
for folder in dev run tmp; do mount -t tmpfs tmpfs "$T/$folder"; done
DEVICES
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
exec chroot "$T" /usr/sbin/sshd -D -e -f /etc/ssh/config
