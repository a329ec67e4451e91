#!/bin/sh
# machine.sh DIR SHARED: a throw-away machine. systemd is its pid 1, on a layer over this machine's root that is gone
# with it. To be called in a mount namespace of its own; DIR is an empty directory, SHARED is its /mnt. Devices, kernel
# settings and units of this machine are out of its reach or read-only.
set -eu
if [ $$ != 1 ]; then
    mount --make-rprivate /
    mount -t tmpfs -o mode=755 machine "$1"
    mkdir "$1/cgroup" "$1/upper" "$1/work" "$1/root"
    mount -t cgroup2 cgroup2 "$1/cgroup"
    cgroup=$1/cgroup/daq-machine-$$
    mkdir "$cgroup"
    code=0
    sh -c 'echo $$ >"$1/cgroup.procs" && exec setpriv --pdeathsig KILL \
        unshare --pid --mount --uts --ipc --net --cgroup --fork --kill-child=KILL sh "$2" "$3" "$4"' \
        - "$cgroup" "$0" "$1" "$2" || code=$?
    find "$cgroup" -depth -type d -exec rmdir {} \;
    exit $code
fi

root=$1/root
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$root"
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs tmpfs "$root/sys/fs/cgroup"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
for directory in dev run tmp; do mount -t tmpfs -o mode=755 tmpfs "$root/$directory"; done
chmod 1777 "$root/tmp"
mount --bind "$2" "$root/mnt"
while read -r name major minor; do mknod -m 666 "$root/dev/$name" c "$major" "$minor"; done <<END
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
END
ln -s pts/ptmx "$root/dev/ptmx"
mkdir "$root/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
# A daq that is installed here is not there.
rm -rf "$root/opt/daq" "$root/etc/daq" "$root/var/lib/daq" "$root/var/log/daq"
# Of this machine's services it starts the journal only.
rm -rf "$root/etc/systemd/system" "$root"/lib/systemd/system/*.wants
mkdir -p "$root/etc/systemd/system/sockets.target.wants"
ln -s /lib/systemd/system/systemd-journald.socket "$root/etc/systemd/system/sockets.target.wants/"
hostname machine
ip link set lo up
cd "$root"
mkdir .before
pivot_root . .before
exec chroot . env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    sh -c 'umount -l /.before; exec /lib/systemd/systemd --unit=multi-user.target --log-target=journal --show-status=no'
