//go:build tools

// Package programs imports what build.sh builds and nothing else does, so that `go mod tidy` keeps the pins.
package programs

import (
	_ "github.com/influxdata/influxdb/v2/cmd/influxd"
	_ "github.com/influxdata/pkg-config"
)
