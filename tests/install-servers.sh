#!/bin/sh
# The real servers and tools that the tests use: Mosquitto, Chromium, poppler's pdftotext, docker-compose. As root on a
# machine with apt they are installed; elsewhere the tests that want one skip and name it.
set -eu

missing=""
for pair in mosquitto:mosquitto mosquitto_pub:mosquitto-clients chromium:chromium pdftotext:poppler-utils \
    docker-compose:docker-compose; do
    PATH="$PATH:/usr/sbin" command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "not installed, so some tests will skip:$missing" >&2
    exit 0
fi
echo "installing for the tests:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update >/dev/null
# shellcheck disable=SC2086
apt-get -qq install --no-install-recommends $missing >/dev/null
# The package starts a broker of its own; tests start theirs, on ports of their own.
if command -v service >/dev/null 2>&1; then service mosquitto stop >/dev/null 2>&1 || true; fi
