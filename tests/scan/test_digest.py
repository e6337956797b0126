"""The hash of what was seen before is that of the standard library."""

import hashlib
import subprocess
import sys

from netra_backend.scan.digest import blake2b


def test_it_is_the_hash_of_the_standard_library() -> None:
    ours, theirs = blake2b(b"x", digest_size=20), hashlib.blake2b(b"x", digest_size=20)
    assert ours.hexdigest() == theirs.hexdigest()


def test_it_does_not_load_openssl() -> None:
    code = "import sys, netra_backend.scan.digest; sys.exit('_hashlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
