"""What callers call a wrapper by, and the pages on which their calls are kept."""

from msgspec.structs import replace

from netra_backend.scan.engine import summarise
from netra_backend.scan.modules import with_json
from netra_backend.scan.sinks import SINKS
from netra_backend.scan.sources import Source
from netra_backend.scan.wrappers import Wrapper, called_as, page_of

SOURCE = Source(
    summarise(
        "a.py",
        "a",
        "import json\nimport httpx\n"
        "def send(value):\n    json.dumps(value)\n"
        "def post(**options):\n    httpx.post('/', **options)\n"
        "class Message:\n    def __init__(self, value):\n        json.dumps(value)\n",
    ),
    reported=True,
)


def wrapper(name: str, sink: str) -> Wrapper:
    function = SOURCE.function(name)
    assert function is not None
    sites = SOURCE.sites(sink.rpartition(".")[2])
    site = next(it for it in sites if it.function == name)
    return Wrapper(f"a.{name}", SOURCE, function, site, SINKS[sink], frozenset(), 1)


SEND = wrapper("send", "json.dumps")


def test_callers_call_a_class_where_its_init_is_the_wrapper() -> None:
    assert called_as(SEND) == "send"
    assert called_as(wrapper("Message.__init__", "json.dumps")) == "Message"


def test_what_passes_keywords_on_is_a_sink_for_json_only() -> None:
    assert called_as(wrapper("post", "httpx.post")) == with_json("post")


def test_a_chain_goes_from_the_wrapper_to_the_last_before_the_sink() -> None:
    outer = replace(wrapper("Message.__init__", "json.dumps"), inner=SEND, length=2)
    assert list(outer.chain) == [outer, SEND]
    assert outer.sink is SINKS["json.dumps"]


def test_each_group_of_calls_has_a_page_of_its_own() -> None:
    message = wrapper("Message.__init__", "json.dumps")
    wrappers = [
        None,
        SEND,
        message,
        replace(SEND, known=frozenset({("a.py", "UUID", "UUID", 1)})),
        replace(SEND, site=replace(SEND.site, conditional=True)),
        replace(message, inner=SEND, length=2),
    ]
    pages = [page_of(SOURCE, name, it) for it in wrappers for name in ("send", "dumps")]
    assert len(set(pages)) == len(pages)
    other = Source(summarise("a.py", "a", ""), reported=False)
    assert page_of(other, "send", SEND) not in pages
    assert page_of(SOURCE, "send", SEND) == page_of(SOURCE, "send", replace(SEND))
