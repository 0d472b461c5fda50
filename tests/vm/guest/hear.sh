#!/bin/sh
# Baked into every guest: fetch what the lab hands over through the firmware's
# configuration channel and run it. A disk therefore never depends on what is tested.
modprobe qemu_fw_cfg 2>/dev/null
mkdir -p /run/lab && cd /run/lab || exit 0
cat /sys/firmware/qemu_fw_cfg/by_name/opt/lab/*/raw | tar xzf - && exec sh ./say.sh
