"""OpenTelemetry's ids, from its real API, which is asked only if somebody loaded it."""

import subprocess
import sys
import types

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from netra_backend.jsonlog.tracing import Trace, current

CONTEXT = SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(1))


def test_inside_of_a_span_its_ids() -> None:
    assert current() is None
    with trace.use_span(NonRecordingSpan(CONTEXT)):
        assert current() == Trace("0" * 29 + "abc", "0" * 13 + "def", sampled=True)
    assert current() is None


def test_it_is_not_imported_for_that() -> None:
    code = (
        "import io, sys; from netra_backend import jsonlog;"
        "jsonlog.configure(stream=io.StringIO());"
        "jsonlog.get_logger('a').info('x'); print('opentelemetry' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"False"


def test_an_api_that_fails_has_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", types.ModuleType("broken"))
    assert current() is None
