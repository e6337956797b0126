"""Agents: what they are, where they come from, and the runner that runs them."""
