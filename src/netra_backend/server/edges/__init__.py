"""The edges: one module for each kind of client that is served besides `netra.v1`."""
