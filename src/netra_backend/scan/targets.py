"""Targets: the sinks and wrappers that calls hand their arguments to, and what comes of it."""

from collections.abc import Mapping, Sequence

from netra_backend.scan.arguments import argument_of, bind_arguments, completed, keyword_dict
from netra_backend.scan.callers import led_to
from netra_backend.scan.declarations import Site
from netra_backend.scan.heads import (
    Alternatives,
    ClassRef,
    External,
    Found,
    FunctionRef,
    Open,
    Partial,
    Scope,
)
from netra_backend.scan.judge import Judge
from netra_backend.scan.problem import weakened
from netra_backend.scan.resolve import Resolver
from netra_backend.scan.sinking import as_dumped, encoder_of, placed, spelt_out
from netra_backend.scan.sinks import Sink
from netra_backend.scan.values import Argument, Const, Param
from netra_backend.scan.verdict import Verdict
from netra_backend.scan.wrappers import Wrapper

_CLEAN = Verdict()


class Targets:
    """What calls reach: one of `sinks`, by its name, or a wrapper that is asked about."""

    def __init__(self, resolver: Resolver, sinks: Mapping[str, Sink]) -> None:
        self._resolver = resolver
        self._sinks = sinks

    def of(
        self, found: Found, args: Sequence[Argument], wrapper: Wrapper | None
    ) -> tuple[Sink | Wrapper | None, Sequence[Argument], Found | None]:
        """Return what a call of `found` reaches, with which arguments and receiver.

        That is `wrapper`, or a sink if it is None; None for what is neither.
        """
        head = found[0]
        if wrapper is not None:
            led = led_to(self._resolver, found, args, wrapper.name, wrapper.source)
            return (None, args, None) if led is None else (wrapper, *led)
        if isinstance(head, Partial):
            return self.of(head.func, completed(args, head.args), wrapper)
        if not isinstance(head, (ClassRef, FunctionRef, External)):
            return None, args, None
        receiver = None if isinstance(head, ClassRef) else head.receiver
        sink = self._sinks.get(head.name)
        if sink is None:
            return None, args, receiver
        told = as_dumped(args, receiver) if sink.own else args
        return placed(sink, head), told, receiver

    def verdict(
        self, target: Sink | Wrapper, args: Sequence[Argument], scope: Scope, receiver: Found | None
    ) -> Verdict:
        """Return what comes of handing `args`, as they stand in `scope`, to the target."""
        if isinstance(target, Sink):
            return self._at_sink(target, args, scope)
        home = target.source.scope
        bound = bind_arguments(target.function, args, scope, home, receiver)
        inner = Scope(target.source, target.function, bound)
        if not self._reached(target.site, inner):
            return _CLEAN
        heads = options_of(self._resolver.resolve(target.site.func, inner))
        wrapper = target.inner if isinstance(target.inner, Wrapper) else None
        for found in heads:
            reached, inner_args, inner_receiver = self.of(found, target.site.args, wrapper)
            if reached is None:
                continue
            verdict = self.verdict(reached, inner_args, inner, inner_receiver)
            if target.site.conditional or len(heads) > 1:
                return Verdict(tuple(map(weakened, verdict.problems)), verdict.open)
            return verdict
        return _CLEAN

    def _reached(self, site: Site, scope: Scope) -> bool:
        """Return whether what the caller passes may lead to the call."""
        for name, truth in site.required:
            head = self._resolver.resolve(Param(name), scope)[0]
            if isinstance(head, Const) and bool(head.value) is not truth:
                return False
        return True

    def _at_sink(self, sink: Sink, args: Sequence[Argument], scope: Scope) -> Verdict:
        argument = argument_of(args, sink.argument or "\0", sink.position)
        encoder = encoder_of(self._resolver, sink, args, scope)
        if argument is None and sink.keywords:
            argument = keyword_dict(args)
        if argument is None:
            return _CLEAN
        if encoder is None:
            return Verdict(open=isinstance(spelt_out(self._resolver, args, scope), Open))
        judge = Judge(self._resolver, *encoder)
        problems = judge.problems(argument.value, scope, argument.at)
        return Verdict(tuple(problems), judge.open)


def options_of(found: Found) -> Sequence[Found]:
    """Return each thing that a name may stand for."""
    return found[0].options if isinstance(found[0], Alternatives) else (found,)
