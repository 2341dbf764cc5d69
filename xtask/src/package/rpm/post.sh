# Runs after the files are in place; $1 counts the installed versions. The files alone switch nothing over.
# If the service runs, the new program replaces the armed image; if it cannot, the old image stays armed. Nothing here may fail.
# A start of a service that runs starts the units that only the new version's service wants.
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload >/dev/null 2>&1 || :
    udevadm control --reload >/dev/null 2>&1 || :
    if [ "$1" -gt 1 ]; then
        systemctl try-reload-or-restart kdump-loader.service >/dev/null 2>&1 || :
        if systemctl --quiet is-active kdump-loader.service; then
            systemctl start kdump-loader.service >/dev/null 2>&1 || :
        fi
    fi
fi
exit 0
