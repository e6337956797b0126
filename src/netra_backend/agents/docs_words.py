"""The words of a question: which are searched for, and which others may answer them.

Two small tables, of English and not of this documentation's sections: words that say nothing, and
words that people use for what the documentation calls by another name. `tests/agents` has the
questions with which they were measured, and others that they were not made for.
"""

import re

MAX_QUERY_CHARACTERS = 4_000
"""Characters of a query that are looked at."""

MAX_QUERY_WORDS = 12
"""Different words of a query that are searched for: the first ones."""

MAX_WORD_CHARACTERS = 40
"""Characters of a word that are searched for."""

_STOP_WORDS = """
a about all also am an and any anybody anything are as ask at be been behind being best between but
by can could did do does doing each either else everything exist exists explain for from get gets
getting give go got had happen happened happening happens has have hello help her hey hi him his
how i if in instead into is it its just know let like made make makes many may me mean meaning
means might more most much must my need needs no not of off ok on one or other our out over own
please possible put really same say see send sends sent set should show so some somebody someone
something take takes tell than thank thanks that the their them then there these they thing things
this those to too under up us use used uses using very want was way we were what when where which
while who whom whose why will with without work works would yes you your yours
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""Words that say nothing about a section."""

_ALIKE = """
answer reply
backup copy
cancel stop abort end
change configure setting
chat conversation thread
colleague member user
console terminal
crash kill killed die
database sqlite store
delete remove
error exception raise fail
image picture
issue bug fault problem
license licence
limit maximum max most
long timeout seconds
login authentication sign
logout revoke revocation
mask redact redacted secret
message frame
password secret credential
admin administrator
scanner scan
reconnect resume follow
size bytes
suppress silence ignore
upgrade update migrate
"""
_ALTERNATIVES: dict[str, tuple[str, ...]] = {}
for _line in _ALIKE.splitlines():
    _group = tuple(_line.split())
    for _word in _group:
        _ALTERNATIVES[_word] = (*_ALTERNATIVES.get(_word, ()), *(w for w in _group if w != _word))

_WORD = re.compile(r"[^\W_]+(?:_[^\W_]+)*")
"""A word, or a name such as ``run_timeout``, which the index looks for as a phrase."""


def words_of(query: str) -> tuple[str, ...]:
    """Return the words of `query` to search for: in order, lower case, each once, no stop words."""
    found = _WORD.findall(query[:MAX_QUERY_CHARACTERS].lower())
    words = dict.fromkeys(word[:MAX_WORD_CHARACTERS] for word in found)
    kept = [word for word in words if word not in STOP_WORDS and len(word) > 1]
    return tuple(kept[:MAX_QUERY_WORDS])


def alternatives(word: str) -> tuple[str, ...]:
    """Return the words by which a section may answer `word`; plurals are those of the singular."""
    return _ALTERNATIVES.get(word) or _ALTERNATIVES.get(word.removesuffix("s"), ())
