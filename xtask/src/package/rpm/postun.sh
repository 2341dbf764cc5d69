# Runs after the files are gone; $1 counts the versions that stay. Removes what `service uninstall` leaves if it fails: links that lead nowhere
# now, drop-ins that would hold another service back for good, and settings for a service that is gone. Nothing here may fail.
# A program that is there belongs to another installation, and so does everything else.
if [ "$1" -eq 0 ] && [ ! -e /usr/sbin/kdump-loader ]; then
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
    # Without a ledger, `service uninstall` succeeded, and what is there still is the administrator's.
    for file in systemd/system-preset/80-kdump-loader.preset sysctl.d/60-kdump-loader.conf; do
        if [ -f "/etc/$file" ] && [ -e /var/lib/kdump-loader/service.json ]; then
            unlink "/etc/$file" || :
            rmdir "/etc/${file%/*}" 2>/dev/null || :
        fi
    done
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload >/dev/null 2>&1 || :
        udevadm control --reload >/dev/null 2>&1 || :
    fi
fi
exit 0
