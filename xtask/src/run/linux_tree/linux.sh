# Builds Linux once for each name that it is given: the kernel NAME has the purgatory NAME.object.
# Runs in a Debian whose packages are unpacked but not configured.
set -eu
cd /build

# What the package mawk would set up.
[ -e /usr/bin/awk ] || ln -s mawk /usr/bin/awk

mkdir -p linux
tar --extract --file /usr/src/linux-source-6.12.tar.xz --directory linux --strip-components 1
cd linux

# The one line of docs/linux-purgatory.md.
makefile=arch/x86/purgatory/Makefile
line='PURGATORY_OBJS = $(srctree)/arch/x86/purgatory/purgatory-linux.ro'
grep -q '^PURGATORY_OBJS = ' "$makefile"
sed -i "s|^PURGATORY_OBJS = .*|$line|" "$makefile"

export KBUILD_BUILD_USER=root KBUILD_BUILD_HOST=linux-tree
make --silent allnoconfig KCONFIG_ALLCONFIG=../kernel.config
missing=$(grep '^CONFIG_' ../kernel.config | while read -r option; do
    grep -qxF "$option" .config || echo "$option"
done)
if [ -n "$missing" ]; then
    echo "the kernel's configuration has no" $missing >&2
    exit 1
fi

for kernel; do
    cp "../$kernel.object" arch/x86/purgatory/purgatory-linux.ro
    make --silent --jobs "$(nproc)" bzImage
    cp arch/x86/boot/bzImage "../$kernel"
    cp arch/x86/purgatory/purgatory.ro "../$kernel.purgatory.ro"
    echo "$kernel: $(stat --format %s "../$kernel") bytes"
done
