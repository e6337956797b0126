"""Exceptions that nobody caught are log lines, whoever raised them."""

import json
import subprocess
import sys
from typing import Any

import pytest

BEGIN = """
import asyncio, gc, signal, sys, threading
from netra_backend import jsonlog
jsonlog.configure("INFO", "json", sys.stdout)
"""


def run(code: str) -> tuple[int, list[dict[str, Any]], str]:
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, [json.loads(one) for one in done.stdout.splitlines()], done.stderr


def test_of_the_main_thread() -> None:
    code, (line,), err = run("1 / 0")
    assert (code, err) == (1, "")
    assert (line["level"], line["message"]) == ("CRITICAL", "uncaught exception")
    assert line["exception"]["type"] == "ZeroDivisionError"
    assert line["exception"]["frames"][0]["line"] == 5


def test_of_a_thread() -> None:
    code, (line,), err = run("threading.Thread(target=lambda: 1 / 0, name='worker').start()")
    assert (code, err) == (0, "")
    assert line["message"] == "uncaught exception in a thread"
    assert line["thread_name"] == "worker"
    assert line["exception"]["type"] == "ZeroDivisionError"


def test_of_a_task() -> None:
    code, lines, err = run(
        "async def fail(): 1 / 0\n"
        "async def main():\n"
        "    asyncio.create_task(fail())\n"
        "    await asyncio.sleep(0)\n"
        "    await asyncio.sleep(0)\n"
        "    gc.collect()\n"
        "asyncio.run(main())\n"
    )
    assert (code, err) == (0, "")
    assert [line["logger"] for line in lines] == ["asyncio"]
    assert lines[0]["message"].startswith("Task exception was never retrieved")
    assert lines[0]["exception"]["type"] == "ZeroDivisionError"


def test_of_a_destructor() -> None:
    code, (line,), err = run(
        "class Late:\n    def __del__(self): raise ValueError('late')\nlate = Late()\ndel late"
    )
    assert (code, err) == (0, "")
    assert "ignored" in line["message"].lower()
    assert line["exception"]["message"] == "late"
    assert "__del__" in line["where"]["$repr"]


def test_leaving_and_interrupting_are_no_faults() -> None:
    code, lines, err = run(
        "import threading; threading.Thread(target=sys.exit).start(); sys.exit(3)"
    )
    assert (code, lines, err) == (3, [], "")
    code, lines, err = run("signal.raise_signal(signal.SIGINT)")
    assert code in (130, -2)
    assert lines == []
    assert "KeyboardInterrupt" in err


@pytest.mark.parametrize(
    ("hook", "fault"),
    [
        ("sys.excepthook", "1 / 0"),
        ("threading.excepthook", "threading.Thread(target=lambda: 1 / 0).start()"),
    ],
)
def test_the_hook_of_somebody_else_is_called_too(hook: str, fault: str) -> None:
    code = f"jsonlog.unconfigure()\n{hook} = lambda *_: print('mine', file=sys.stderr)\n"
    code += 'jsonlog.configure("INFO", "json", sys.stdout)\n'
    _, lines, err = run(code + fault)
    assert len(lines) == 1
    assert err == "mine\n"


def test_the_hooks_are_put_back() -> None:
    code = (
        "jsonlog.configure('INFO', 'json', sys.stdout)\njsonlog.unconfigure()\n"
        "assert sys.excepthook is sys.__excepthook__\n"
        "assert threading.excepthook is threading.__excepthook__\n"
        "assert sys.unraisablehook is sys.__unraisablehook__\n"
    )
    assert run(code) == (0, [], "")
