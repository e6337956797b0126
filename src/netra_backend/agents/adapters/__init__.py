"""Adapters: agents of other libraries, one file for each optional dependency."""
