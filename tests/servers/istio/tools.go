//go:build tools

// Package istio pins istiod, Istio's control plane, for the tests.
package istio

import (
	_ "istio.io/istio/pilot/cmd/pilot-discovery"
)
