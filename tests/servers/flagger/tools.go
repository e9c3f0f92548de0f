//go:build tools

// Package flagger pins Flagger, which may own the routes of releases, for the tests.
package flagger

import (
	_ "github.com/fluxcd/flagger/cmd/flagger"
)
