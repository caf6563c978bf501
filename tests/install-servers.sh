#!/bin/sh
# The real servers and tools that the tests use: Mosquitto, PostgreSQL, Chromium, poppler's pdftotext, docker-compose,
# mbpoll, Node. As root on a machine with apt they are installed; elsewhere the tests that want one skip and name it.
# In .foreign go two peers that others wrote and that do not fit into our own environment: a Sparkplug node and a Modbus
# slave. InfluxDB 2 is compiled, once a machine (tests/influxd/README.md).
set -eu

# Debian keeps PostgreSQL's programs by version, not on the PATH.
beside="/usr/sbin$(printf ':%s' /usr/lib/postgresql/*/bin)"
missing=""
for pair in mosquitto:mosquitto initdb:postgresql mosquitto_pub:mosquitto-clients chromium:chromium pdftotext:poppler-utils \
    docker-compose:docker-compose mbpoll:mbpoll node:nodejs npm:npm; do
    PATH="$PATH:$beside" command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
done
if [ -n "$missing" ] && { [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; }; then
    echo "not installed, so some tests will skip:$missing" >&2
elif [ -n "$missing" ]; then
    echo "installing for the tests:$missing" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update >/dev/null
    # The package of PostgreSQL would make a cluster and start it with the machine; tests make theirs.
    no_cluster=/etc/postgresql-common/createcluster.d/headend-tests.conf
    mkdir -p "${no_cluster%/*}"
    echo "create_main_cluster = false" >"$no_cluster"
    # shellcheck disable=SC2086
    apt-get -qq install --no-install-recommends $missing >/dev/null
    rm "$no_cluster"
    # The package starts a broker of its own; tests start theirs, on ports of their own.
    if command -v service >/dev/null 2>&1; then service mosquitto stop >/dev/null 2>&1 || true; fi
fi

if [ ! -x .foreign/venv/bin/python ] || ! .foreign/venv/bin/python -c 'import pysparkplug' 2>/dev/null; then
    { python3 -m venv --clear .foreign/venv && .foreign/venv/bin/pip -q --disable-pip-version-check install pysparkplug==0.6.1; } \
        || echo "pysparkplug is not installed, so some tests will skip" >&2
fi
if [ ! -d .foreign/node_modules/modbus-serial ]; then
    # npm trusts a list of its own, which knows nothing of a proxy's certificate that this machine trusts.
    authorities=/etc/ssl/certs/ca-certificates.crt
    [ ! -f "$authorities" ] || export NODE_EXTRA_CA_CERTS="${NODE_EXTRA_CA_CERTS:-$authorities}"
    timeout 300 npm install --silent --no-audit --no-fund --prefix .foreign modbus-serial@8 >/dev/null 2>&1 \
        || echo "npm modbus-serial is not installed, so some tests will skip" >&2
fi
tests/influxd/build.sh >/dev/null || echo "influxd is not built, so some tests will skip" >&2
