# Builds kexec-tools with the purgatory kexec.object, as docs/linux-purgatory.md says.
# Runs in a Debian whose packages are unpacked but not configured.
set -eu
cd /build
dpkg-source --no-check --extract kexec-tools-source/*.dsc kexec-tools > /dev/null
cd kexec-tools
{
    ./bootstrap && ./configure && make
    cp ../kexec.object purgatory/purgatory.ro
    make
} > ../kexec-tools.log 2>&1 || { tail -n 30 ../kexec-tools.log >&2; exit 1; }
cp build/sbin/kexec ../kexec
echo "kexec: $(stat --format %s ../kexec) bytes"
