"""Netra runs AI agents and delivers what they do, live and in order, to the right people."""
