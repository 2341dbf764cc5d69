#!/bin/sh
# The Debian package in a tree of its own, where this shell is the first process.
set -eu
target=
. /prove/common.sh

dpkg() {
    command dpkg --force-unsafe-io "$@" >/prove/dpkg.log 2>&1 || {
        cat /prove/dpkg.log >&2
        fail "$scenario: dpkg $* failed"
    }
}

# No name of the package is left in dpkg's own records.
forgotten() {
    ! ls /var/lib/dpkg/info/kdump-loader.* 2>/dev/null || fail "$scenario: dpkg still has files of the package"
    ! grep -q '^Package: kdump-loader$' /var/lib/dpkg/status || fail "$scenario: dpkg still knows the package"
}

# No diversion is left in dpkg's own records.
undiverted() {
    [ -z "$(dpkg-divert --list '*kexec*')" ] || fail "$scenario: kexec is still diverted"
}

divert() {
    kdump-loader service divert >/prove/divert 2>&1 || { cat /prove/divert >&2; fail "$scenario: kexec is not diverted"; }
}

start() {
    scenario=$1
    listing >/prove/before
}

other_service
# kexec-tools, as far as a diversion of its program needs it: Debian 12 has it in /sbin, which is no link in this tree.
kexec=/sbin/kexec
[ -L /sbin ] && kexec=/usr/sbin/kexec
mkdir -p /prove/kexec-tools/DEBIAN "/prove/kexec-tools${kexec%/*}"
printf 'Package: kexec-tools\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: stand-in\n' \
    >/prove/kexec-tools/DEBIAN/control
printf '#!/bin/sh\n' >"/prove/kexec-tools$kexec"
chmod 755 "/prove/kexec-tools$kexec"
dpkg-deb --build /prove/kexec-tools /prove/kexec-tools.deb >/dev/null
scenario=prepared
dpkg --install /prove/kexec-tools.deb

start "installed, switched over, upgraded, removed, purged"
dpkg --install /prove/older
kdump-loader service install --mask-conflicts >/dev/null 2>&1
ls /etc/systemd/system/kdump-tools.service.d >/dev/null || fail "$scenario: kdump-tools is not held back"
divert
# There is no kernel here to arm, which is said; an upgrade must change nothing of what is said.
kdump-loader service check >/prove/check 2>/dev/null || true
grep -q '^ok .*/multi-user.target.wants/kdump-loader.service$' /prove/check || fail "$scenario: the service is not enabled"
dpkg --install /prove/newer
kdump-loader service check 2>/dev/null | diff /prove/check - >&2 || fail "$scenario: the upgrade broke the service"
dpkg --verify kdump-loader
dpkg --remove kdump-loader
undiverted
listing >/prove/after
diff /prove/before /prove/after | grep '^[<>]' | grep -v ' \./etc/kdump-loader\.toml' >&2 && fail "$scenario: more than the config is left"
dpkg --purge kdump-loader
forgotten
same_as_before

start "never switched over, purged at once"
dpkg --install /prove/newer
dpkg --purge kdump-loader
forgotten
same_as_before

start "program missing"
dpkg --install /prove/newer
divert
rm /usr/sbin/kdump-loader
dpkg --remove kdump-loader
undiverted
dpkg --purge kdump-loader
same_as_before

start "program damaged"
dpkg --install /prove/newer
divert
head -c 1000000 /usr/sbin/kdump-loader >/prove/half
cat /prove/half >/usr/sbin/kdump-loader
dpkg --remove kdump-loader
undiverted
dpkg --purge kdump-loader
same_as_before

start "ledger damaged"
dpkg --install /prove/newer
kdump-loader service install >/dev/null 2>&1
echo '{"version": 1, "entries": [{' >"$state/service.json"
dpkg --remove kdump-loader
grep -q "'service uninstall' failed" /prove/dpkg.log || fail "$scenario: nothing is said of it"
dpkg --purge kdump-loader
same_as_before

start "purged after the program was installed again without dpkg"
dpkg --install /prove/newer
cp /usr/sbin/kdump-loader /prove/kdump-loader
dpkg --remove kdump-loader
/prove/kdump-loader service install --mask-conflicts >/dev/null 2>&1
dpkg --purge kdump-loader
ls /etc/systemd/system/kdump-tools.service.d/90-kdump-loader.conf "$state/service.json" >/dev/null || fail "$scenario: too much is gone"
kdump-loader service uninstall >/dev/null 2>&1
same_as_before

start "scripts called for what was aborted"
dpkg --install /prove/newer
for call in "postinst abort-upgrade 0.0.1" "postinst abort-remove" "postinst abort-remove in-favour other 1" \
    "postinst abort-deconfigure in-favour other 1 removing third 1" "prerm upgrade 0.0.1" "prerm failed-upgrade 0.0.1 0.1.0" \
    "prerm deconfigure in-favour other 1" "postrm upgrade 0.0.1" "postrm failed-upgrade 0.0.1 0.1.0" "postrm abort-install" \
    "postrm abort-install 0.0.1 0.1.0" "postrm abort-upgrade 0.0.1 0.1.0" "postrm disappear other 1"; do
    # shellcheck disable=SC2086 # the words of a call
    set -- $call
    script=/var/lib/dpkg/info/kdump-loader.$1
    shift
    "$script" "$@" >/prove/call.log 2>&1 || { cat /prove/call.log >&2; fail "$scenario: $call failed"; }
done
dpkg --purge kdump-loader
same_as_before

refusing_systemd
start "systemd refuses"
dpkg --install /prove/older
kdump-loader service install --mask-conflicts >/dev/null 2>&1 && fail "$scenario: systemd did not refuse"
ls "$target/etc/systemd/system/multi-user.target.wants/kdump-loader.service" >/dev/null || fail "$scenario: nothing was installed"
dpkg --install /prove/newer
dpkg --remove kdump-loader
dpkg --purge kdump-loader
forgotten
same_as_before
