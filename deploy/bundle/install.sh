#!/bin/sh
# Installs or upgrades daq from this bundle, without a network. Run as root.
#
#   sh install.sh                    into /opt/daq, as a service of its own user where systemd runs
#   sh install.sh --prefix DIR       programs only, into DIR
#
# Every version has a directory; `current` is a link that is switched once the new one works. Collectors go on: those
# that an older version started keep its directory until none of them is left.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
version=$(cat "$here/VERSION")
wanted=$(cat "$here/PYTHON")
prefix=/opt/daq
service=yes
if [ "${1:-}" = --prefix ]; then
    prefix=${2:?"--prefix wants a directory"}
    service=no
fi

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

[ "$service" = no ] || [ "$(id -u)" = 0 ] || fail "needs root to make the user daq and the service; without: --prefix DIR"
python=$(command -v "python$wanted" || command -v python3) || fail "needs Python $wanted; install it first"
found=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
[ "$found" = "$wanted" ] || fail "this bundle is for Python $wanted, and $python is $found"

[ "$service" = no ] || id daq >/dev/null 2>&1 ||
    useradd --system --home-dir /var/lib/daq --shell /usr/sbin/nologin daq

target=$prefix/$version
runs() {  # by whoever is to run it
    if [ "$service" = yes ]; then set -- runuser -u daq --; else set --; fi
    "$@" "$target/bin/daq" --version >/dev/null
}
if [ ! -x "$target/bin/daq" ]; then
    rm -rf "$target"
    mkdir -p "$prefix"
    "$python" -m venv "$target"
    "$target/bin/python" -m pip --isolated install --quiet --disable-pip-version-check --no-index \
        --find-links "$here/wheels" "daq-reconciler==$version"
    runs || {
        rm -rf "$target"
        fail "cannot run daq, $prefix/current is as it was: all must be able to use $(readlink -f "$python")"
    }
fi
runs || fail "cannot run $target/bin/daq; $prefix/current is as it was"

ln -s "$version" "$prefix/.current.$$"
mv -T "$prefix/.current.$$" "$prefix/current"
echo "installed $target; $prefix/current points to it"

if [ "$service" = yes ]; then
    mkdir -p /etc/daq/desired
    install -m 644 "$here/daq.service" /etc/systemd/system/daq.service
    ln -sf "$prefix/current/bin/daq" /usr/local/bin/daq
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload
        systemctl enable --quiet daq
        systemctl restart daq
        echo "daq is running; manifests are in /etc/daq/desired, see: systemctl status daq"
    else
        echo "systemd does not run here; start it by hand: $prefix/current/bin/daq run"
    fi
fi

# A directory that a process was started from is still needed by it.
for old in "$prefix"/*/; do
    old=${old%/}
    [ "$old" = "$target" ] || [ -L "$old" ] || [ ! -x "$old/bin/daq" ] && continue
    if grep -qsF "$old/bin/" /proc/[0-9]*/cmdline; then
        echo "kept $old: collectors run from it"
    else
        rm -rf "$old"
        echo "removed $old"
    fi
done
