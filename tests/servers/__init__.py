"""The real servers that the tests run against: what they are, how they are built, found and started.

`catalog` is the table, `build` makes what the table names (nothing but the standard library, as it runs before any
environment is there), `locate` finds it again, and there is one module for each server that knows how to start it.
To add a server: one row in `catalog`, and where it is built from source one folder with its go.mod, go.sum and tools.go.
"""
