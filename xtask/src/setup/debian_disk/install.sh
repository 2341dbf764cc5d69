#!/bin/sh
# Installs Debian's packages, and what a machine of a scenario needs beside them.
#
# On entry: / is the tree that will be the disk, with the files of all essential packages, none of them known to dpkg; every package lies
#   in /packages, the kernel's in /packages/kernel. Process and mount namespace are its own: PID 1 is this shell, so that kdump-tools does
#   not take the tree for a chroot, in which it would leave its initial RAM disk to be made by the first boot.
# On exit: all packages are configured, both initial RAM disks made.
set -eu
export PATH=/usr/sbin:/usr/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive

# Essential packages depend on one another in circles, so the order cannot be right; dpkg ends with an error if one is not configured.
dpkg() {
    command dpkg --force-depends --force-unsafe-io --path-exclude='/usr/share/man/*' --path-exclude='/usr/share/doc/*' \
        --path-exclude='/usr/share/locale/*' --path-exclude='/usr/share/i18n/*' "$@"
}

# Not the first boot, on which systemd would set up what it finds missing.
echo 6b64756d702d7075726761746f727921 >/etc/machine-id
echo debian >/etc/hostname
# Nothing is started here.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d

dpkg --install /packages/*.deb

# Initial RAM disks with the one driver that the machine needs, instead of those that this machine would need.
echo MODULES=list >/etc/initramfs-tools/conf.d/machine
echo virtio_blk >>/etc/initramfs-tools/modules
dpkg --unpack /packages/kernel/*.deb
release=$(ls /usr/lib/modules)
# Without the others, udev has nothing to load that emulated CPUs would spend their time on.
find "/usr/lib/modules/$release/kernel" -name '*.ko*' ! -name 'virtio_blk.ko*' -delete
depmod "$release"
dpkg --configure --pending

# As after `kdump-config load`: or it would make its initial RAM disk anew on the first boot, which takes a minute there.
cp /etc/kdump/sysctl.conf "/var/lib/kdump/latest_sysctls-$release"

# kexec is a link, so that a scenario can point it somewhere else.
dpkg-divert --local --rename --divert /usr/sbin/kexec.distrib /usr/sbin/kexec
ln -s kexec.distrib /usr/sbin/kexec

# LZO, since an emulated CPU has a hard time with zlib.
echo 'MAKEDUMP_ARGS="-l -d 31"' >>/etc/default/kdump-tools

systemctl enable agent.service
# Nobody logs in, nothing outlives the machine, and each unit costs time in both boots.
systemctl mask serial-getty@ttyS0.service getty@tty1.service getty-static.service systemd-logind.service \
    systemd-user-sessions.service systemd-random-seed.service systemd-update-utmp.service modprobe@.service \
    dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount \
    sys-fs-fuse-connections.mount apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer
mkdir -p /etc/systemd/journald.conf.d
printf '[Journal]\nStorage=volatile\n' >/etc/systemd/journald.conf.d/machine.conf
# Newer than /usr: caches need not be made anew (systemd-update-done.service(8)).
touch /etc/.updated /var/.updated
rm -rf /packages /usr/sbin/policy-rc.d /install.sh
