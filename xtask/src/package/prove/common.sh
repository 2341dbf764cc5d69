# What both scripts need. Sourced with $target as the root on which packages are installed: empty for the tree itself.

state=$target/var/lib/kdump-loader

# Every file, directory and link with its permissions and contents, except for what package managers keep themselves and what the next boot
# forgets.
listing() {
    (
        cd "$target/"
        find . \( -path ./proc -o -path ./dev -o -path ./run -o -path ./tmp -o -path ./prove -o -path ./target -o -path ./var/log \
            -o -path ./var/lib/dpkg -o -path ./var/lib/rpm -o -path ./usr/lib/sysimage \) -prune -o \
            -printf '%p %M %u %g %l\n' -type f -exec sha256sum {} +
    ) | sort
}

# fail MESSAGE
fail() {
    echo "$*" >&2
    exit 1
}

# same_as_before: nothing is left.
same_as_before() {
    listing >/prove/after
    diff /prove/before /prove/after >&2 || fail "$scenario: the tree is not as it was before (< before, > after)"
    echo "$scenario: nothing is left"
}

# The service that arms on Debian, so that there is something to hold back.
other_service() {
    mkdir -p "$target/usr/lib/systemd/system" "$target/usr/lib/udev/rules.d"
    cat >"$target/usr/lib/systemd/system/kdump-tools.service" <<'END'
[Unit]
Description=Kernel crash dump capture service
[Service]
Type=oneshot
ExecStart=/etc/init.d/kdump-tools start
ExecStop=/etc/init.d/kdump-tools stop
RemainAfterExit=yes
[Install]
WantedBy=multi-user.target
END
    mkdir -p "$target/etc/systemd/system/multi-user.target.wants"
    # Without a file of another package, a package manager removes an empty directory with ours.
    echo '# of udev' >"$target/usr/lib/udev/rules.d/50-udev-default.rules"
    ln -s /usr/lib/systemd/system/kdump-tools.service "$target/etc/systemd/system/multi-user.target.wants/"
}

# A systemd that runs and refuses everything.
refusing_systemd() {
    mkdir -p "$target/run/systemd/system" "$target/run/udev"
    for program in systemctl udevadm; do
        printf '#!/bin/sh\necho "%s refuses" >&2\nexit 1\n' "$program" >"$target/usr/bin/$program"
        chmod 755 "$target/usr/bin/$program"
    done
}
