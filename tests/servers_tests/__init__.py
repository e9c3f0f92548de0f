"""The tests of `tests.servers`: that the real servers are built, found and started as it says."""
