module verdictd.test/servers/definitions

go 1.26.0

require (
	github.com/argoproj/argo-rollouts v1.8.3
	github.com/linkerd/linkerd2 v0.0.0-20230502184307-e1ba0e039074
	github.com/openservicemesh/osm v1.2.4
)
