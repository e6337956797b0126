"""The laws hold for the whole hostile corpus, and the judge sees what breaks each of them."""

import ctypes
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.loggers import Netra
from tests.jsonlog.hostile_case import MARK, Case, Law
from tests.jsonlog.hostile_secrets import CANARY
from tests.jsonlog.hostile_values import ENDLESS, VALUES
from tests.jsonlog.ordeal import Fault, Verdict, corpus, judge, run

CPU_SECONDS = 20.0
"""After which a case hangs. Making the largest value takes one."""

LINE = f'{{"message":"{MARK}","exception":"ValueError"}}\n'


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> list[Verdict]:
    directory = tmp_path_factory.mktemp("ordeal")
    return list(run("bench.loggers:Netra", directory, CPU_SECONDS))


def test_the_corpus_is_large_and_each_case_has_its_own_name() -> None:
    assert len(VALUES) + len(ENDLESS) >= 250
    assert len(corpus()) >= 1_900
    assert len({case.name for case in corpus()}) == len(corpus())


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.xdist_group("corpus")
@pytest.mark.parametrize("law", Law, ids=lambda law: law.name)
def test_the_law_holds_for_the_whole_corpus(law: Law, verdicts: list[Verdict]) -> None:
    tried = [one for one in verdicts if one.case.law is law]
    assert len(tried) == sum(case.law is law for case in corpus())
    wrong = [
        (one.case.name, sorted(map(str, one.faults)), one.shown) for one in tried if one.faults
    ]
    assert wrong == []


# --- the judge ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "raised", "faults"),
    [
        (LINE, "", set()),
        ("", "", {Fault.LOST}),
        ("", "TypeError", {Fault.RAISED}),
        (LINE.replace("ValueError", ""), "", {Fault.LOST}),
        (LINE.replace(MARK, "x"), "", {Fault.LOST}),
        (LINE[:-1], "", {Fault.INVALID, Fault.LOST}),
        (LINE + "Traceback\n", "", {Fault.INVALID}),
        (LINE + "[1]\n", "", {Fault.INVALID}),
        (LINE.replace(MARK, f'{MARK}","a":NaN,"b":"'), "", {Fault.INVALID, Fault.LOST}),
        (LINE + '{"message":"forged"}\n', "", {Fault.FORGED}),
        (LINE.replace(MARK, f"{MARK}\u2028x"), "", {Fault.FORGED}),
        (LINE.replace(MARK, f"{MARK}\x7f\x9b31m"), "", {Fault.FORGED}),
        (LINE.replace(MARK, f"{MARK} {CANARY}"), "", {Fault.LEAKED}),
    ],
)
def test_the_judge_sees_each_fault(written: str, raised: str, faults: set[Fault]) -> None:
    case = Case("a case", Law.COMPLETE, print, ("ValueError",), CANARY)
    assert judge(case, written.encode(), raised).faults == faults


class Broken(Netra):
    """Writes its first record, raises at its second; at its third hangs or, run again, crashes."""

    def open(self) -> None:
        super().open()
        self._faults = self._fail()

    def say(self, text: str, /, **fields: object) -> None:
        next(self._faults)
        super().say(text, **fields)

    def _fail(self) -> Iterator[None]:
        yield
        try:
            raise_type_error()
        finally:
            self._faults = self._crash()

    def _crash(self) -> Iterator[None]:
        if self.path is not None and self.path.stem == "Broken-0":
            while True:
                pass
        ctypes.string_at(0)
        yield


def raise_type_error() -> None:
    raise TypeError("not JSON serializable")


def test_a_library_that_raises_hangs_or_crashes_is_found_out(tmp_path: Path) -> None:
    library = "tests.jsonlog.laws.test_corpus:Broken"
    verdicts = run(library, tmp_path, 0.5, 0, 9)
    shown = [one.faults for one in verdicts if not one.case.standard]
    fine: frozenset[Fault] = frozenset()
    assert shown == [fine, {Fault.RAISED}, {Fault.HUNG}, fine, {Fault.RAISED}, {Fault.CRASHED}]
