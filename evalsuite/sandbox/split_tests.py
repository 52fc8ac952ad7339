"""A trusted test in two halves: what runs beside untrusted code, and what is judged outside of it.

A test such as ``x = np.arange(5.0); assert np.allclose(f(x), target)`` becomes

* *inside* ``x = np.arange(5.0); __emit__(0, lambda: f(x))``: all that needs the answer's code, no target, no verdict;
* *outside* ``assert np.allclose(__take__(0), target)``: clean libraries, the target, and values that came out as data.

Comparisons and calls of imported functions in an assertion are always made outside, with or without a target, because
untrusted code can replace any function that it shares a process with. Asked of a test is that its assertions stand at
top level, in ``for`` loops over trusted values or over the target, or behind an ``if`` of trusted values.
"""

import ast
import builtins
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

EMIT, TAKE, PEEK = "__emit__", "__take__", "__peek__"
TARGET = "target"
COMPARISONS = ("scicode.compare.cmp",)
"""Modules that exist only outside (``compare``)."""
ABOUT_OBJECTS = {"isinstance", "issubclass", "hasattr", "callable", "type", "getattr", "repr", "str", "id"}
"""Builtins that need the object itself, so they are called where it is."""
RUNNING_TEXT = {"eval", "exec", "compile", "open", "__import__", "sympify", "S", "parse_expr", "lambdify", "nsolve"}
"""Functions that make code of their arguments: they are called where the answer's code runs anyway."""
COUNTING = {"len", "sum", "size", "shape", "ndim", "count_nonzero", "bool"}
"""Functions that an empty value may be given: what they return is compared, not the value."""


class Unsplittable(ValueError):
    """A test that cannot be judged without showing its target to untrusted code."""


@dataclass(frozen=True, slots=True)
class Halves:
    """One test: Python source for both sides."""

    inside: str
    outside: str
    compared: tuple[int, ...] = ()
    """Numbers of the captured values that a statement compares with the target."""


def split(tests: Sequence[str], imports: str) -> tuple[Halves, ...]:
    """Split the tests of one step, which run in order and share their names, into inner and outer halves: one
    ``Halves`` each.

    ``imports`` is the trusted import block that stands before the answer. Raises ``Unsplittable``, naming the line, for
    a test that cannot be split and for source that is not valid Python.
    """
    splitter = _Splitter(trusted={name for name in vars(builtins) if name not in ABOUT_OBJECTS})
    splitter.trusted |= _imported(_parsed(imports).body)
    return tuple(splitter.test(text) for text in tests)


def _parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError as error:
        raise Unsplittable(f"not valid Python: {error}") from None


def _imported(body: Iterable[ast.stmt]) -> set[str]:
    found = set()
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return found


def _names(node: ast.AST, kind: type[ast.expr_context] = ast.Load) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, kind)}


def _free(node: ast.AST) -> set[str]:
    """Names that ``node`` reads, without the loop variables of comprehensions and arguments of lambdas and functions in
    it (even where it also reads such a name outside of them).
    """
    bound = {one.arg for one in ast.walk(node) if isinstance(one, ast.arg)}
    for one in ast.walk(node):
        if isinstance(one, ast.comprehension):
            bound |= _names(one.target, ast.Store)
    return _names(node) - bound


@dataclass(slots=True)
class _Splitter:
    trusted: set[str]
    """Imported and builtin names: the same on both sides."""
    tainted: set[str] = field(default_factory=lambda: {TARGET})
    """Names that exist only outside."""
    assigned: set[str] = field(default_factory=set)
    """Names that tests have given values to inside; any other unknown name is the answer's own."""
    sites: int = 0
    hoisted: list[ast.stmt] | None = None
    """In a loop or comprehension over the target: where captures go, before the loop."""
    compares: bool = False
    """Whether the statement compares what it captures with the target."""
    compared: list[int] = field(default_factory=list)
    """Captures of this test that are compared with its target."""

    def test(self, text: str) -> Halves:
        self.tainted.add(TARGET)
        self.compared = []
        inside, outside = self.block(_parsed(text).body)
        return Halves(_source(inside), _source(outside), tuple(self.compared))

    def block(self, body: Sequence[ast.stmt]) -> tuple[list[ast.stmt], list[ast.stmt]]:
        inside: list[ast.stmt] = []
        outside: list[ast.stmt] = []
        for number, node in enumerate(body):
            self.statement(node, inside, outside, body[number + 1 :])
        return inside, outside

    def statement(
        self, node: ast.stmt, inside: list[ast.stmt], outside: list[ast.stmt], later: Sequence[ast.stmt]
    ) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            self.trusted |= _imported([node])
            if getattr(node, "module", None) not in COMPARISONS:
                inside.append(node)
            outside.append(node)
        elif isinstance(node, ast.Assert):
            outside.append(ast.Assert(self.comparison(node.test, inside), None))
        elif isinstance(node, ast.For) and self.touched(node):
            self.loop(node, inside, outside)
        elif isinstance(node, ast.If) and self.touched(node):
            if not self.is_trusted(node.test):
                raise self.refused(node, "an assertion or the target behind a condition that the answer decides")
            halves, others = self.block(node.body), self.block(node.orelse)
            inside.append(ast.If(node.test, halves[0] or [ast.Pass()], others[0]))
            outside.append(ast.If(node.test, halves[1] or [ast.Pass()], others[1]))
        elif isinstance(node, ast.Assign) and (self.is_tainted(node.value) or self.is_verdict(node, later)):
            self.assign(node, inside, outside)
        elif isinstance(node, ast.Expr) and self.is_tainted(node):
            return  # such as print(target): nothing that a verdict needs
        elif self.touched(node):
            raise self.refused(node, f"the target or an assertion in a {type(node).__name__} statement")
        else:
            stored = _names(node, ast.Store) | {one.name for one in ast.walk(node) if isinstance(one, _DEFINITIONS)}
            self.assigned |= stored
            self.tainted -= stored
            self.trusted -= stored
            inside.append(node)

    def assign(self, node: ast.Assign, inside: list[ast.stmt], outside: list[ast.stmt]) -> None:
        if not all(isinstance(one, ast.Name | ast.Tuple | ast.List | ast.Starred) for one in _targets(node)):
            raise self.refused(node, "the target is put into an object of the answer's side")
        outside.append(ast.Assign(node.targets, self.comparison(node.value, inside)))
        stored = _names(node, ast.Store)
        self.tainted |= stored
        self.assigned -= stored

    def loop(self, node: ast.For, inside: list[ast.stmt], outside: list[ast.stmt]) -> None:
        if node.orelse:
            raise self.refused(node, "for ... else")
        names = _names(node.target, ast.Store)
        if self.is_trusted(node.iter):  # runs on both sides, in step
            added = names - self.trusted
            self.trusted |= added
            halves = self.block(node.body)
            self.trusted -= added
            inside.append(ast.For(node.target, node.iter, halves[0] or [ast.Pass()], []))
            outside.append(ast.For(node.target, node.iter, halves[1] or [ast.Pass()], []))
        elif self.is_tainted(node.iter):  # runs outside only; what it reads of the answer is captured before it
            self.hoisted = inside
            over = self.comparison(node.iter, inside)
            self.tainted |= names
            ran, body = self.block(node.body)
            self.hoisted = None
            if ran:
                raise self.refused(node, "the answer's code runs in a loop over the target")
            outside.append(ast.For(node.target, over, body, []))
        else:
            raise self.refused(node, "assertions in a loop whose length the answer decides")

    def touched(self, node: ast.AST) -> bool:
        return self.is_tainted(node) or any(isinstance(one, ast.Assert) for one in ast.walk(node))

    def is_tainted(self, node: ast.AST) -> bool:
        return bool(_free(node) & self.tainted)

    def is_trusted(self, node: ast.AST) -> bool:
        return _free(node) <= self.trusted

    def is_verdict(self, node: ast.Assign, later: Sequence[ast.stmt]) -> bool:
        """Whether an assignment is a comparison whose result no ``later`` statement but an assertion reads.

        Comparisons are those by operators, ``and``, ``or``, and calls of functions whose names end in ``close`` or
        ``equal``.
        """
        if not isinstance(node.value, ast.Compare | ast.BoolOp) and not (
            isinstance(node.value, ast.Call) and ast.unparse(node.value.func).endswith(("close", "equal"))
        ):
            return False
        stored = _names(node, ast.Store)
        return not any(stored & _names(one) for one in later if not isinstance(one, ast.Assert))

    def comparison(self, node: ast.expr, inside: list[ast.stmt]) -> ast.expr:
        """Return the form in which the checker evaluates ``node``, a whole expression; the calls that capture values of
        the answer for it are appended to ``inside``, as by ``outside``.

        If it reads a name that exists only outside, such as the target, the numbers of these values are appended to
        ``self.compared``, without those below a function of ``COUNTING``, such as ``len``.
        """
        before, self.compares = self.compares, self.is_tainted(node)
        seen = self.outside(node, inside)
        self.compares = before
        return seen

    def outside(self, node: ast.expr, inside: list[ast.stmt]) -> ast.expr:
        """Return the form in which the checker evaluates the expression ``node``: what only the answer's side knows is
        replaced by calls that read captured values.

        The calls that compute these values beside the answer and send them out are appended to ``inside``; in a loop
        over the target they stand before the loop. Raises ``Unsplittable`` where the answer's code would be given the
        target.
        """
        if self.is_trusted(node):
            return node
        if not self.is_tainted(node) and not self.opens(node):
            return self.capture(node, inside)
        if isinstance(node, ast.Call) and not self.is_callable_outside(node.func):
            raise self.refused(node, "the answer's code is given the target")
        before = self.compares
        self.compares &= not (isinstance(node, ast.Call) and _last_name(node.func) in COUNTING)
        seen = _Operands(self, inside).visit_children(node)
        self.compares = before
        return seen

    def opens(self, node: ast.expr) -> bool:
        """Whether an expression without target is still evaluated outside, on captured operands.

        True for comparisons, ``and``, ``or``, ``not``, tuples, lists, and calls of trusted functions (but those of
        ``RUNNING_TEXT``) none of whose arguments is a name of the answer or a lambda that reads one.
        """
        if isinstance(node, ast.Compare | ast.BoolOp | ast.Tuple | ast.List):
            return True
        if isinstance(node, ast.UnaryOp):
            return isinstance(node.op, ast.Not)
        if not isinstance(node, ast.Call) or not self.is_trusted(node.func) or _last_name(node.func) in RUNNING_TEXT:
            return False
        given = [*node.args, *(one.value for one in node.keywords)]
        return not any(isinstance(one, ast.Name | ast.Lambda) and self.is_answers(one) for one in given)

    def is_answers(self, node: ast.AST) -> bool:
        """Whether ``node`` reads a name of the answer: one that no import and no test made, and no builtin but those in
        ``ABOUT_OBJECTS``, which count as the answer's.
        """
        return bool(_free(node) - self.trusted - self.assigned - self.tainted)

    def is_callable_outside(self, func: ast.expr) -> bool:
        """Whether the checker may call ``func``: a trusted function, or an attribute of anything but a
        plain name of the answer (a method of a value that is or comes outside as data).
        """
        return self.is_trusted(func) or (
            isinstance(func, ast.Attribute) and not (isinstance(func.value, ast.Name) and self.is_answers(func.value))
        )

    def capture(self, node: ast.expr, inside: list[ast.stmt]) -> ast.expr:
        site = ast.Constant(self.sites)
        if self.compares:
            self.compared.append(self.sites)
        self.sites += 1
        nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
        emit = ast.Call(ast.Name(EMIT, ast.Load()), [site, ast.Lambda(nothing, node)], [])
        (inside if self.hoisted is None else self.hoisted).append(ast.Expr(emit))
        reader = TAKE if self.hoisted is None else PEEK
        return ast.Call(ast.Name(reader, ast.Load()), [site], [])

    def refused(self, node: ast.AST, why: str) -> Unsplittable:
        return Unsplittable(f"line {getattr(node, 'lineno', 0)} ({ast.unparse(node)[:80]}): {why}")


_DEFINITIONS = (ast.FunctionDef, ast.ClassDef)


class _Operands(ast.NodeTransformer):
    """Sends every operand of an expression through ``_Splitter.outside``."""

    def __init__(self, splitter: _Splitter, inside: list[ast.stmt]) -> None:
        self.splitter, self.inside = splitter, inside

    def visit_children(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.GeneratorExp | ast.ListComp | ast.SetComp | ast.DictComp | ast.Lambda):
            return self.visit_scope(node)
        seen: ast.expr = super().generic_visit(node)  # type: ignore[assignment]
        return seen

    def visit_scope(self, node: ast.expr) -> ast.expr:
        """Transform a comprehension or lambda, whose own names exist only outside; what is captured in
        it is captured once, before it (before an outer loop over the target, if any).
        """
        own = {one.arg for one in ast.walk(node) if isinstance(one, ast.arg)}
        for one in ast.walk(node):
            if isinstance(one, ast.comprehension):
                own |= _names(one.target, ast.Store)
        added = own - self.splitter.tainted
        self.splitter.tainted |= added
        before = self.splitter.hoisted
        self.splitter.hoisted = self.inside if before is None else before
        seen: ast.expr = super().generic_visit(node)  # type: ignore[assignment]
        self.splitter.hoisted = before
        self.splitter.tainted -= added
        return seen

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.expr) and isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
            return self.splitter.outside(node, self.inside)
        seen: ast.AST = super().visit(node)
        return seen


def _last_name(func: ast.expr) -> str:
    """The last part of a function's name: ``f`` of ``f``, ``m.f`` and ``m.n.f``; empty for other expressions."""
    return func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""


def _targets(node: ast.Assign) -> Iterable[ast.expr]:
    for one in node.targets:
        yield from one.elts if isinstance(one, ast.Tuple | ast.List) else (one,)


def _source(body: list[ast.stmt]) -> str:
    return ast.unparse(ast.fix_missing_locations(ast.Module(body, [])))
