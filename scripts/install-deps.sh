#!/bin/sh
# Install what the tests, the lab and the linters need on Debian 12: packages by apt, and in .venv the current
# releases from PyPI.  Does nothing, and quickly, where all of it is there.
#
# usage: scripts/install-deps.sh [apt|venv|deb|machines]...      (default: both)
set -eu

cd "$(dirname "$0")/.."

# openvswitch-vtep brings ovsdb-server, its tools, ovs-pki and the hardware_vtep schema; prometheus brings promtool;
# chromium looks at the page, for which it needs a font; frr announces a routed VIP, in the lab's namespaces only.
packages='
    ca-certificates
    groff-base
    chromium
    fonts-dejavu-core
    frr
    iproute2
    iputils-ping
    make
    nftables
    openssh-client
    openssh-server
    openssl
    openvswitch-vtep
    procps
    prometheus
    python3-hypothesis
    python3-netaddr
    python3-openvswitch
    python3-prometheus-client
    python3-pyroute2
    python3-pytest
    python3-pytest-xdist
    python3-rich
    python3-scapy
    python3-sphinx
    python3-tenacity
    python3-venv
    python3-yaml
    zsh
'
# What builds the package and looks at it.
deb_packages='
    build-essential
    debhelper
    dh-python
    fakeroot
    lintian
    pybuild-plugin-pyproject
    python3-all
    python3-setuptools
'
# What makes and boots the machines that the package is tried on.
machine_packages='
    debootstrap
    systemd-container
'
# What these packages would run at once and at each boot; the lab starts its own servers.
services='frr openssh-server openvswitch-switch openvswitch-vtep prometheus'
policy=/usr/sbin/policy-rc.d

installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

install_packages() {
    missing=
    for package in "$@"; do
        installed "$package" || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        echo "install-deps: these packages are missing, and only root can install them:$missing" >&2
        exit 1
    fi
    fresh=
    for service in $services; do
        installed "$service" || fresh="$fresh $service"
    done
    # invoke-rc.d(8) starts nothing while this file forbids it; one that is already here is the administrator's.
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        trap 'exit 1' HUP INT TERM
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q update
    # shellcheck disable=SC2086  # a list of words
    apt-get -q install -y --no-install-recommends $missing
    for service in $fresh; do
        [ "$service" != openssh-server ] || service=ssh
        update-rc.d "$service" disable || echo "install-deps: $service may start at the next boot" >&2
    done
}

# ifupdown2 would take the place of what configures this machine, so it is unpacked beside the sources; the lab gives
# it a root of its own.
unpack() {
    target=.packages/$1
    [ ! -d "$target" ] || return 0
    part=.packages/part
    rm -rf "$part"
    mkdir -p "$part"
    (cd "$part" && { apt-get -q download "$1" 2>/dev/null || { apt-get -q update && apt-get -q download "$1"; }; })
    dpkg -x "$part"/*.deb "$part/root"
    chmod 755 "$part/root/usr/share/$1/__main__.py" # as its postinst does
    mv "$part/root" "$target"
    rm -rf "$part"
}

# pip's answer to pyproject.toml is kept as long as that file and the interpreter stay as they are.
install_venv() {
    stamp="$(cat pyproject.toml scripts/install-deps.sh | sha256sum | cut -d' ' -f1) $(/usr/bin/python3 --version)"
    [ "$(cat .venv/stamp 2>/dev/null)" != "$stamp" ] || return 0
    rm -rf .venv
    /usr/bin/python3 -m venv .venv
    .venv/bin/python -m pip install -q --disable-pip-version-check -e '.[test,lint]'
    echo "$stamp" >.venv/stamp
}

# shellcheck disable=SC2086  # lists of words
for part in "${@:-apt venv}"; do
    case $part in
        'apt venv') install_packages $packages; unpack ifupdown2; install_venv ;;
        apt) install_packages $packages; unpack ifupdown2 ;;
        deb) install_packages $deb_packages ;;
        machines) install_packages $machine_packages ;;
        venv) install_venv ;;
        *) echo "usage: $0 [apt|venv|deb|machines]..." >&2; exit 2 ;;
    esac
done
