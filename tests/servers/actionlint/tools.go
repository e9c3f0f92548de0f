//go:build tools

// Package actionlint pins the linter of GitHub's workflows, for the examples.
package actionlint

import (
	_ "github.com/rhysd/actionlint/cmd/actionlint"
)
