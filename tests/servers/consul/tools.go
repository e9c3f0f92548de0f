//go:build tools

// Package consul pins Consul, a mesh's control plane, for the tests: the last version under MPL-2.0 that Envoy still takes.
package consul

import (
	_ "github.com/hashicorp/consul"
)
