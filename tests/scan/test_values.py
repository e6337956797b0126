"""Where two paths meet, what is known of both stays known."""

from netra_backend.scan.values import (
    INSIDE,
    NONE,
    STR,
    UNKNOWN,
    Altered,
    Argument,
    Const,
    Dict,
    Entry,
    Instance,
    Seq,
    Union,
    is_harmless,
    join,
    marked,
    union,
)

UUID = Instance("uuid.UUID")


def test_the_same_on_both_paths_stays() -> None:
    assert join(UUID, Instance("uuid.UUID")) == UUID


def test_different_values_are_alternatives_and_not_repeated() -> None:
    assert join(UUID, NONE) == Union((UUID, NONE))
    assert join(join(UUID, NONE), UUID) == Union((UUID, NONE))


def test_too_many_alternatives_are_cut_and_the_rest_is_unknown() -> None:
    value = union([Instance(f"a.C{index}") for index in range(20)])
    assert isinstance(value, Union)
    assert len(value.options) == 8
    assert value.options[-1] is UNKNOWN


def test_an_entry_of_one_path_is_there_only_maybe() -> None:
    both = Entry(Const("a"), UUID)
    one = Dict((both, Entry(Const("b"), UUID)))
    joined = join(one, Dict((both,)))
    assert isinstance(joined, Dict)
    assert [(e.key, e.maybe) for e in joined.entries] == [(Const("a"), False), (Const("b"), True)]


def test_an_entry_of_both_paths_with_different_values_is_there_for_certain() -> None:
    joined = join(Dict((Entry(Const("a"), UUID),)), Dict((Entry(Const("a"), STR),)))
    assert joined == Dict((Entry(Const("a"), Union((UUID, STR))),))


def test_items_of_one_path_are_there_only_maybe() -> None:
    joined = join(Seq("list", (Entry(None, UUID),)), Seq("list", ()))
    assert joined == Seq("list", (Entry(None, UUID, maybe=True),))


def test_harmless_is_what_no_encoder_refuses() -> None:
    assert is_harmless(Dict((Entry(Const("a"), Seq("list", (Entry(None, STR),))),)))
    assert not is_harmless(Dict((Entry(Const(1), STR),)))
    assert not is_harmless(Seq("set"))
    assert not is_harmless(Dict((Entry(Const("a"), UUID),)))


def test_the_marks_of_both_paths_stay() -> None:
    rows = Seq("list", (Entry(None, Dict((Entry(Const("a"), UUID), Entry(Const("b"), UUID)))),))
    one = marked(rows, INSIDE, (Argument("", Const("a")),))
    other = marked(rows, INSIDE, (Argument("", Const("b")),))
    assert join(one, rows) == join(rows, one) == one
    both = join(one, other)
    assert isinstance(both, Altered)
    assert {it.value for it in both.args} == {Const("a"), Const("b")}
    assert join(both, marked(rows, INSIDE)) == marked(rows, INSIDE)
