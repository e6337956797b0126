"""The hash by which the scan knows what it has seen before.

`hashlib` has it too, but loads all of OpenSSL, which takes a tenth of the time for a small file.
"""

try:
    from _blake2 import blake2b
except ImportError:  # another Python than CPython
    from hashlib import blake2b

__all__ = ["blake2b"]
