"""What callers bring: told with the call that does, and bounded whatever the calls are."""

import pytest

from netra_backend.scan.engine import link, summarise
from netra_backend.scan.finding import Finding, Origin, Severity
from netra_backend.scan.options import Options

STATE = "import enum\nclass State(enum.Enum):\n    A = 1\n"
KEPT = (
    "import json\nclass Kept:\n    def __init__(self, state):\n        self.state = state\n"
    "    def tell(self):\n        return json.dumps({'state': self.state})\n"
)


def found(**files: str) -> list[Finding]:
    summaries = [summarise(f"{name}.py", name, text) for name, text in files.items()]
    return link(summaries, Options())


def test_a_finding_says_where_it_becomes_json_and_which_call_brings_it() -> None:
    call = "from kept import Kept\nfrom state import State\nA = State.A\n\nKept(A)\n"
    (one,) = found(state=STATE, kept=KEPT, call=call)
    assert (one.path, one.line, one.severity) == ("kept.py", 6, Severity.WARNING)
    assert one.origin == Origin("call.py", 5)
    assert one.message == (
        'plain enum State may reach json.dumps as "state" (value from call.py:5)'
    )


def test_the_call_that_is_told_is_the_one_that_has_the_value() -> None:
    through = "from kept import Kept\ndef make(state):\n    return Kept(state)\n"
    call = "from state import State\nfrom through import make\nmake('a')\nmake(state=State.A)\n"
    (one,) = found(state=STATE, kept=KEPT, through=through, call=call)
    assert (one.path, one.origin) == ("kept.py", Origin("call.py", 4))


@pytest.mark.parametrize(
    "call",
    ["Kept('a')", "Kept(State.A.name)", "Kept(unknown)", "Kept()", "Kept(*[])", "other(State.A)"],
)
def test_calls_that_bring_nothing_of_the_kind(call: str) -> None:
    own = f"from state import State\nfrom kept import Kept\n{call}\n"
    assert found(state=STATE, kept=KEPT, call=own) == []


def test_a_default_is_brought_by_the_function_itself() -> None:
    own = STATE + KEPT.replace("self, state", "self, state=State.A")
    (one,) = found(own=own)
    assert (one.line, one.severity, one.origin) == (9, Severity.WARNING, Origin("own.py", 6))


def test_named_arguments_that_are_kept_together() -> None:
    kept = KEPT.replace("self, state", "self, **fields").replace("= state", "= fields")
    (one,) = found(own=f"{STATE}{kept}Kept(size=1, state=State.A)\n")
    assert (one.line, one.value_path, one.origin) == (9, "state.state", Origin("own.py", 10))
    spread = kept.replace("{'state': self.state}", "{**self.state, 'state': 'a'}")
    assert found(own=f"{STATE}{spread}Kept(size=1, state=State.A)\n") == []


def test_what_is_known_of_an_object_counts_for_it_alone() -> None:
    own = STATE + KEPT + "bad = Kept(State.A)\ngood = Kept('a')\n"
    lines = [it.line for it in found(own=f"{own}json.dumps([good.state])\n")]
    assert lines == [9]
    lines = [it.line for it in found(own=f"{own}json.dumps([bad.state])\n")]
    assert lines == [9, 12]


def test_a_class_below_is_not_made_by_the_constructor_above() -> None:
    below = (
        "class Below(Kept):\n    def __init__(self, state):\n        super().__init__(state.name)\n"
    )
    below += "    def more(self):\n        return json.dumps([self.state])\n"
    own = STATE + KEPT + below
    assert [it.line for it in found(own=f"{own}Kept(State.A)\n")] == [9]
    own = own.replace("state.name", "state")
    assert [it.line for it in found(own=f"{own}Kept(State.A)\n")] == [9]
    assert [it.line for it in found(own=f"{own}Below(State.A)\n")] == [9, 14]


def test_a_library_is_not_asked_who_calls_it() -> None:
    call = "import json\nfrom kept import Kept\nfrom state import State\nKept(State.A)\n"
    own = "def tell(kept: Kept):\n    return json.dumps(kept.state)\n"
    files = [summarise("call.py", "call", call + own), summarise("state.py", "state", STATE)]
    library = summarise("kept.py", "kept", KEPT)
    assert link(files, Options(), [library]) == []
    assert [it.path for it in link([*files, library], Options())] == ["call.py", "kept.py"]


CIRCLES = {
    "a class that makes itself": (
        "Kept(Kept(State.A).state)\ndef f(x):\n    Kept(x)\n    f(Kept(x).state)\n"
    ),
    "functions that call each other": (
        "def f(x):\n    g(x)\n    Kept(x)\ndef g(x):\n    f([x])\n    f(x)\nf(State.A)\n"
    ),
    "a method that stores what it has stored": (
        "class Loop:\n    def __init__(self, x):\n        self.x = x\n"
        "    def step(self):\n        Kept(self.x)\n        return Loop(self.x)\nLoop(State.A)\n"
    ),
}


@pytest.mark.parametrize("call", CIRCLES.values(), ids=CIRCLES.keys())
def test_circles_end(call: str) -> None:
    assert [it.line for it in found(own=STATE + KEPT + call)] == [9]


def test_of_very_many_calls_some_are_looked_at() -> None:
    many = "".join(f"Kept(other.value_{at})\n" for at in range(1_000))
    assert found(own=f"import other\n{STATE}{KEPT}{many}Kept(State.A)\n") == []
    assert [it.line for it in found(own=f"import other\n{STATE}{KEPT}Kept(State.A)\n{many}")] == [
        10
    ]
