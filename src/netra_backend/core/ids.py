"""Identifiers: what they may look like, and how new ones are made.

Users, threads and runs are named by opaque strings that clients may choose. A thread and a run
are names *within one user*: two users may both have a thread ``t1`` and neither can find out. A
thread that somebody else shares is named with its owner, ``OWNER,ID``: no id has a comma.
"""

import re
import secrets
from typing import NamedTuple, NewType

from netra_backend.errors import ErrorCode, FrameError

UserId = NewType("UserId", str)
ThreadId = NewType("ThreadId", str)
RunId = NewType("RunId", str)
ThreadName = NewType("ThreadName", str)
"""A thread as a user names it: the id of an own one, or ``OWNER,ID``."""

MAX_ID_LENGTH = 128
"""Characters of an id at most."""

ID_PATTERN = rf"(?!\.{{1,2}}(?:,|$))[A-Za-z0-9_.:~@+=|-]{{1,{MAX_ID_LENGTH}}}"
"""What every id looks like, in the words of Python and of JSON Schema alike."""

THREAD_PATTERN = rf"(?:{ID_PATTERN},)?{ID_PATTERN}"
"""What every name of a thread looks like: an id, or ``OWNER,ID``."""

_ID = re.compile(ID_PATTERN)
ID_RULE = f"an id is 1 to {MAX_ID_LENGTH} of A-Z a-z 0-9 _ . : ~ @ + = | -"
"""What a refused id is told."""


class ThreadKey(NamedTuple):
    """A thread: its owner, and its name among that owner's threads."""

    owner: UserId
    id: ThreadId


class RunKey(NamedTuple):
    """A run: the user who started it, and its name among that user's runs.

    In a thread, too, no two runs have the same name, whoever started them.
    """

    owner: UserId
    id: RunId


def parse_id(kind: str, text: str) -> str:
    """Return `text` if it can be an id: 1 to 128 of ``A-Za-z0-9_.:~@+=|-``, not ``.`` or ``..``.

    `kind` is the name of the field for the error. Raises FrameError (``bad_input``).
    """
    if _ID.fullmatch(text) is None:
        shown = ascii(text) if len(text) <= 40 else f"{text[:40]!a}…"
        raise FrameError(
            f"{kind} is {shown}; {ID_RULE}",
            code=ErrorCode.BAD_INPUT,
            where=f"$.{kind}",
        )
    return text


def parse_thread(kind: str, text: str) -> ThreadName:
    """Return `text` if it can name a thread: an id, or two with a comma between them.

    Raises FrameError (``bad_input``) that names the field `kind`.
    """
    owner, comma, id = text.rpartition(",")
    if comma:
        parse_id(kind, owner)
    parse_id(kind, id)
    return ThreadName(text)


def thread_key(user: UserId, name: ThreadName) -> ThreadKey:
    """Return the thread that `user` names so."""
    owner, _, id = name.rpartition(",")
    return ThreadKey(UserId(owner) if owner else user, ThreadId(id))


def full_name(thread: ThreadKey) -> ThreadName:
    """Return the name by which every user can name the thread."""
    return ThreadName(f"{thread.owner},{thread.id}")


def name_for(user: UserId, thread: ThreadKey) -> ThreadName:
    """Return the shortest name by which `user` can name the thread."""
    return ThreadName(thread.id) if thread.owner == user else full_name(thread)


def new_id(prefix: str) -> str:
    """Return a fresh id such as ``run_5c0e…``: 96 random bits, so it cannot be guessed."""
    return f"{prefix}_{secrets.token_hex(12)}"
