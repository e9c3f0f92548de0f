//go:build tools

// Package act pins what runs GitHub's workflows on this machine, for the examples.
package act

import (
	_ "github.com/nektos/act"
)
