# Builds kexec-tools with the purgatory kexec.object, as docs/linux-purgatory.md says.
# Runs in a Debian whose packages are unpacked but not configured.
set -eu
cd /build
# What the package mawk would set up.
[ -e /usr/bin/awk ] || ln -s mawk /usr/bin/awk

dpkg-source --no-check --extract kexec-tools-source/*.dsc kexec-tools > /dev/null
cd kexec-tools
# A release, which needs no ./bootstrap.
./configure > /dev/null
make --silent > /dev/null
cp ../kexec.object purgatory/purgatory.ro
make --silent > /dev/null
cp build/sbin/kexec ../kexec
echo "kexec: $(stat --format %s ../kexec) bytes"
