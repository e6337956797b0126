"""``python -m netra_backend.cli`` is the command ``netra``."""

from netra_backend.cli import main

main()
