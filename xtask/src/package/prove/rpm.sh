#!/bin/sh
# The RPM on a root of its own below /target, with busybox as its user space.
set -eu
target=/target
. /prove/common.sh

mkdir -p /target/bin /target/usr/bin /target/usr/sbin /target/etc /target/run /target/tmp /target/proc /target/dev /target/var/lib /target/var/tmp
cp "$(command -v busybox)" /target/bin/busybox
chroot /target /bin/busybox --install -s /bin
cp -a /dev/null /target/dev/
# The program reads itself there.
busybox mount -t proc proc /target/proc
printf 'ID=fedora\nVERSION_ID=43\n' >/target/etc/os-release

rpm() {
    command rpm --root /target "$@" >/prove/rpm.log 2>&1 || {
        cat /prove/rpm.log >&2
        fail "$scenario: rpm $* failed"
    }
    ! grep -i 'scriptlet failed' /prove/rpm.log >&2 || fail "$scenario: rpm $*: a scriptlet failed"
}

kdump_loader() {
    chroot /target /usr/sbin/kdump-loader "$@"
}

start() {
    scenario=$1
    listing >/prove/before
}

scenario=prepared
# rpm looks for /bin/sh among packages; here it is a file.
rpm --initdb
other_service
# Directories that a distribution's own packages bring.
for directory in usr/lib/systemd/system usr/lib/udev/rules.d usr/share/doc usr/share/licenses usr/share/man/man5 usr/share/man/man8 \
    usr/share/bash-completion/completions usr/share/zsh/site-functions usr/share/fish/vendor_completions.d; do
    mkdir -p "/target/$directory"
done

start "installed, switched over, upgraded, removed"
rpm --install --nodeps /prove/older
kdump_loader service install --mask-conflicts >/dev/null 2>&1
ls /target/etc/systemd/system/kdump-tools.service.d >/dev/null || fail "$scenario: kdump-tools is not held back"
grep -q '^initrd = .*/boot/initramfs' /target/etc/kdump-loader.toml || fail "$scenario: the config is not Fedora's"
# There is no kernel here to arm, which is said; an upgrade must change nothing of what is said.
kdump_loader service check >/prove/check 2>/dev/null || true
grep -q '^ok .*/multi-user.target.wants/kdump-loader.service$' /prove/check || fail "$scenario: the service is not enabled"
rpm --upgrade --nodeps /prove/newer
kdump_loader service check 2>/dev/null | diff /prove/check - >&2 || fail "$scenario: the upgrade broke the service"
rpm --verify --nodeps kdump-loader
rpm --erase kdump-loader
! command rpm --root /target --query kdump-loader >/dev/null || fail "$scenario: rpm still knows the package"
same_as_before

start "never switched over, removed at once"
rpm --install --nodeps /prove/newer
rpm --erase kdump-loader
same_as_before

start "program missing"
rpm --install --nodeps /prove/newer
rm /target/usr/sbin/kdump-loader
rpm --erase kdump-loader
same_as_before

start "ledger damaged"
rpm --install --nodeps /prove/newer
kdump_loader service install >/dev/null 2>&1
echo '{"version": 1, "entries": [{' >"$state/service.json"
rpm --erase kdump-loader
grep -q "'service uninstall' failed" /prove/rpm.log || fail "$scenario: nothing is said of it"
# rpm has no purge: what the program wrote by itself stays for the administrator.
rm -rf "$state" /target/etc/kdump-loader.toml
same_as_before

refusing_systemd
start "systemd refuses"
rpm --install --nodeps /prove/older
rpm --upgrade --nodeps /prove/newer
rpm --erase kdump-loader
same_as_before
