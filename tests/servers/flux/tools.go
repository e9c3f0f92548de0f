//go:build tools

// Package flux pins Flux's kustomize-controller, which applies the routes of releases out of Git, for the tests.
package flux

import (
	_ "github.com/fluxcd/kustomize-controller"
)
