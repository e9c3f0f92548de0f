"""The telemetry of Envoy Gateway: a plain Envoy's, whose clusters are called by the route's rule and backend."""

from dataclasses import replace

from daemon.meshes.envoy.telemetry import SCHEMA as ENVOY

SCHEMA = replace(ENVOY, name="envoy-gateway")
