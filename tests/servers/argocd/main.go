// Package main is Argo CD's notifications controller alone: Argo CD's one program has all its parts, and takes much longer to build.
package main

import (
	"os"

	"github.com/argoproj/argo-cd/v3/cmd/argocd-notification/commands"
)

func main() {
	if commands.NewCommand().Execute() != nil {
		os.Exit(1)
	}
}
