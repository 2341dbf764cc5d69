# Runs before the files are removed; $1 counts the versions that stay. Undoes `kdump-loader service install` while the program is there; the
# armed image stays armed. Nothing here may block the removal.
if [ "$1" -eq 0 ]; then
    if ! /usr/sbin/kdump-loader service uninstall >/dev/null; then
        echo "kdump-loader: 'service uninstall' failed: links to /dev/null below /etc/udev/rules.d may be left, which mask rules" >&2
    fi
fi
exit 0
