"""Telemetry of the past: a release that is over is read from a Prometheus' history as the daemon would have read it then.

The one decision: history is another ``Source`` under the frame that the daemon's own telemetry has, with a clock that is set and
not waited for. Which series are whose, what is counted of them, what is a gap: all of it is the code that runs live.
"""
