"""Telemetry that is read in a process of its own, so that what answers cost is not the event loop's, on which reverts wait.

Decoding the answers of thousands of releases and differencing their counters takes seconds of each tick. In a thread it holds
the interpreter's lock from the loop, and each part of an answer waits for a turn of the loop that others keep busy. What crosses
over to the other process is little: which releases are watched, where that has changed, and a reading of each.
"""
