#!/bin/sh
# Boots a systemd of its own in new namespaces, with nothing but the units of a folder; what it mounts is
# seen by nobody else. Needs root. Usage: boot.sh FOLDER, with FOLDER/units, FOLDER/cgroup.
set -e
folder=$1
case $2 in
  "")
    # A control group of its own, which becomes the root of what systemd sees.
    exec unshare --mount --propagation private sh "$0" "$folder" grouped
    ;;
  grouped)
    mount -t cgroup2 none "$folder/cgroup"
    group=$folder/cgroup/${folder##*/}
    mkdir -p "$group"
    echo $$ > "$group/cgroup.procs"
    exec unshare --mount --propagation private --pid --fork --kill-child --cgroup --uts --ipc \
      sh "$0" "$folder" inside
    ;;
esac
mount -t proc proc /proc
# systemd would set what belongs to the whole machine, such as net.unix.max_dgram_qlen.
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount -t tmpfs tmpfs /run
umount -R -l /sys/fs/cgroup 2> /dev/null || true
mount -t cgroup2 none /sys/fs/cgroup
exec env -i PATH="$PATH" container=trial SYSTEMD_UNIT_PATH="$folder/units" \
  SYSTEMD_GENERATOR_PATH=/nonexistent SYSTEMD_ENVIRONMENT_GENERATOR_PATH=/nonexistent \
  /lib/systemd/systemd --system --unit=trial.target --show-status=no --log-target=console
