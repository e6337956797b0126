"""Stores: what remembers threads, runs and their logs, each to the contract of `core.ports`."""
