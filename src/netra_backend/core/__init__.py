"""The rules of Netra, without I/O: no clock, no logger, no socket, no event loop."""
