# Runs after the files are gone; $1 counts the versions that stay. Removes what `service uninstall` leaves if it fails: links that lead nowhere
# now, and drop-ins that would hold another service back for good. Nothing here may fail.
if [ "$1" -eq 0 ]; then
    for link in multi-user.target.wants/kdump-loader.service kdump-loader.service.wants/kdump-loader-reload.path; do
        link=/etc/systemd/system/$link
        if [ -L "$link" ] && [ ! -e "$link" ]; then
            unlink "$link" || :
            rmdir "${link%/*}" 2>/dev/null || :
        fi
    done
    for drop_in in /etc/systemd/system/*.d/90-kdump-loader.conf; do
        if [ -f "$drop_in" ]; then
            unlink "$drop_in" || :
            rmdir "${drop_in%/*}" 2>/dev/null || :
        fi
    done
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload >/dev/null 2>&1 || :
        udevadm control --reload >/dev/null 2>&1 || :
    fi
fi
exit 0
