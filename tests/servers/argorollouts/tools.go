//go:build tools

// Package argorollouts pins the controller of Argo Rollouts, which may own the routes of releases, for the tests.
package argorollouts

import (
	_ "github.com/argoproj/argo-rollouts/cmd/rollouts-controller"
)
