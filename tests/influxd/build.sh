#!/usr/bin/env bash
# Print the path of an InfluxDB 2 server; without one on this machine, build it first, from the modules go.mod pins.
#
#   tests/influxd/build.sh           $INFLUXD, or influxd on PATH, or the one in the cache, which is built if need be
#   tests/influxd/build.sh --find    the same, but nothing is built: exit 1 where there is none
#
# The cache is ${XDG_CACHE_HOME:-~/.cache}/headend. A build wants go (1.23 or newer), cargo and a C compiler.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

if [[ -n ${INFLUXD:-} ]]; then
    [[ -x $INFLUXD ]] || { echo "INFLUXD: found '$INFLUXD', expected a program" >&2; exit 2; }
    echo "$INFLUXD"
    exit
fi
# InfluxDB 1, which distributions carry, has the same name and another interface.
if command -v influxd >/dev/null && [[ $(influxd version 2>/dev/null) != *" v1."* ]]; then
    command -v influxd
    exit
fi

version=$(awk '$1 == "github.com/influxdata/influxdb/v2" { print substr($2, 2) }' go.mod)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/headend
influxd=$cache/influxd-$version

# Where the makers' own installers put their tools, which not every shell has on its PATH.
PATH=$PATH:/usr/local/go/bin:$HOME/.cargo/bin

build() {
    for tool in go cargo cc; do
        command -v "$tool" >/dev/null || { echo "influxd is not built: $tool is not installed" >&2; return 1; }
    done
    echo "building influxd $version, which takes minutes" >&2
    cp go.mod go.sum "$1"
    cd "$1"
    # The Flux library is Rust. It asks for one old compiler, and for no lint that compiler did not know.
    printf '#!/bin/sh\nexec "$@" --cap-lints allow\n' >lax-rustc
    chmod +x lax-rustc
    go build -o pkg-config github.com/influxdata/pkg-config
    # That pkg-config builds the Flux library wherever cgo looks for it. No assets: no web pages.
    PKG_CONFIG=$PWD/pkg-config CGO_ENABLED=1 \
        RUSTC_WORKSPACE_WRAPPER=$PWD/lax-rustc RUSTUP_TOOLCHAIN=${RUSTUP_TOOLCHAIN:-stable} \
        go build -tags noassets,sqlite_json,sqlite_foreign_keys -o influxd github.com/influxdata/influxdb/v2/cmd/influxd
    mv influxd "$influxd"
}

if [[ ! -x $influxd ]]; then
    [[ ${1:-} != --find ]] || exit 1
    mkdir -p "$cache"
    # Who comes second waits, and then finds it built. Without flock (macOS) both build, and the last one's stays.
    exec 9>"$cache/influxd.lock"
    if command -v flock >/dev/null; then
        flock 9
        # Nobody else builds now: what lies here is of a build that was killed.
        rm -rf "$cache"/influxd-build.*
    fi
    if [[ ! -x $influxd ]]; then
        folder=$(mktemp -d "$cache/influxd-build.XXXXXX")
        trap 'rm -rf "$folder"' EXIT
        (build "$folder") >&2
    fi
fi
echo "$influxd"
