"""Finds values that JSON refuses on their way into JSON; pure: reads no file, imports no code."""
