#!/usr/bin/env bash
# Installs the Debian packages that some tests need and this machine lacks, where that is possible (root, apt-get).
# Elsewhere it says what will be skipped. Real tools because readers, servers and validators are the judges here.
set -uo pipefail
PATH="$PATH:/usr/sbin:/sbin"

missing=()
need() { # PACKAGE, then a command that succeeds where it is installed
    local package=$1
    shift
    "$@" > /dev/null 2>&1 || missing+=("$package")
}
need postgresql compgen -G '/usr/lib/postgresql/*/bin/postgres'
need nginx-light command -v nginx
need newsboat command -v newsboat
need chromium command -v chromium
need chromium-driver command -v chromedriver
need libxml2-utils command -v xmllint
need systemd command -v systemd-analyze
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get > /dev/null; then
    echo "tests that need these will be skipped: ${missing[*]} (as root: apt-get install ${missing[*]})" >&2
    exit 0
fi
echo "installing for the tests: ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt=(apt-get -q -y -o DPkg::Lock::Timeout=300)
# No daemon may start because a test wants its binary: policy-rc.d is Debian's switch for that.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' > $policy && chmod +x $policy
    trap 'rm -f "$log" $policy' EXIT
fi
if ! { "${apt[@]}" update && "${apt[@]}" install --no-install-recommends "${missing[@]}"; } < /dev/null > "$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "could not install ${missing[*]}: the tests that need them are skipped, or fail where CI is set" >&2
fi
exit 0
