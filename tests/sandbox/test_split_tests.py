"""What of a test runs beside untrusted code and what is judged outside."""

import pytest

from evalsuite.sandbox.split_tests import Unsplittable, split

IMPORTS = "import numpy as np\nfrom scipy.integrate import quad"


@pytest.mark.parametrize(
    ("test", "inside", "outside"),
    [
        (
            "x = np.arange(5.0)\nassert np.allclose(f(x), target), 'not close'",
            "x = np.arange(5.0)\n__emit__(0, lambda: f(x))",
            "assert np.allclose(__take__(0), target)",
        ),
        (
            "from scicode.compare.cmp import cmp_tuple_or_list as same\n"
            "w = W(2)\nassert same((w.a, w.b()[:9], len(p)), target)",
            "w = W(2)\n__emit__(0, lambda: w.a)\n__emit__(1, lambda: w.b()[:9])\n__emit__(2, lambda: len(p))",
            "from scicode.compare.cmp import cmp_tuple_or_list as same\n"
            "assert same((__take__(0), __take__(1), __take__(2)), target)",
        ),
        (
            "a, b = target\nok = np.allclose(f(1), a)\nassert ok and f(2) == b",
            "__emit__(0, lambda: f(1))\n__emit__(1, lambda: f(2))",
            "a, b = target\nok = np.allclose(__take__(0), a)\nassert ok and __take__(1) == b",
        ),
        (
            "r = f(1)\nassert all(np.allclose(p, q) for p, q in zip(r, target))",
            "r = f(1)\n__emit__(0, lambda: r)",
            "assert all((np.allclose(p, q) for p, q in zip(__peek__(0), target)))",
        ),
        (
            "for i in range(3):\n    y = f(i)\n    assert abs(y - target[i]) < 1e-06",
            "for i in range(3):\n    y = f(i)\n    __emit__(0, lambda: y)",
            "for i in range(3):\n    assert abs(__take__(0) - target[i]) < 1e-06",
        ),
        (
            "r = f(3)\nfor i, t in enumerate(target):\n    assert np.isclose(r[i], t)",
            "r = f(3)\n__emit__(0, lambda: r)",
            "for i, t in enumerate(target):\n    assert np.isclose(__peek__(0)[i], t)",
        ),
        ("assert quad(f, 0, 1)[0] == target", "__emit__(0, lambda: quad(f, 0, 1)[0])", "assert __take__(0) == target"),
        ("assert isinstance(f(1), C)", "__emit__(0, lambda: isinstance(f(1), C))", "assert __take__(0)"),
        ("assert (f(1) == target).all()", "__emit__(0, lambda: f(1))", "assert (__take__(0) == target).all()"),
        (
            "ok = np.allclose(f(1), 3)\nassert ok",
            "__emit__(0, lambda: f(1))",
            "ok = np.allclose(__take__(0), 3)\nassert ok",
        ),
        (
            "ok = f(1) > 2\ny = g(ok)\nassert y == target",
            "ok = f(1) > 2\ny = g(ok)\n__emit__(0, lambda: y)",
            "assert __take__(0) == target",
        ),
        (
            "assert [f(i) for i in range(3)] == target",
            "__emit__(0, lambda: [f(i) for i in range(3)])",
            "assert __take__(0) == target",
        ),
        (
            "if np.pi > 3:\n    assert f(1) == target",
            "if np.pi > 3:\n    __emit__(0, lambda: f(1))",
            "if np.pi > 3:\n    assert __take__(0) == target",
        ),
        (
            "print(target)\ndef q(x):\n    return f(x)\nassert q(1) == target",
            "def q(x):\n    return f(x)\n__emit__(0, lambda: q(1))",
            "assert __take__(0) == target",
        ),
    ],
)
def test_halves(test: str, inside: str, outside: str) -> None:
    (halves,) = split([test], IMPORTS)
    assert (halves.inside.replace("\n\n", "\n"), halves.outside) == (inside, outside)
    assert "target" not in halves.inside


@pytest.mark.parametrize(
    "test",
    [
        "assert f(target)",
        "assert obj.close(target) and all(f(t) for t in target)",
        "for y in f(3):\n    assert y == target",
        "if len(f(1)) > 2:\n    assert f(1) == target",
        "def check():\n    assert f(1) == target\ncheck()",
        "with open('x'):\n    assert f(1) == target",
        "for t in target:\n    y = f(3)\n    assert y == t",
        "while f(1):\n    assert target",
        "box.value = target",
        "assert f(",
    ],
)
def test_what_would_show_the_target_is_refused(test: str) -> None:
    with pytest.raises(Unsplittable):
        split([test], IMPORTS)


def test_tests_of_a_step_share_their_names() -> None:
    first, second = split(
        ["a = 3\nwanted = target\nassert f(a) == target", "assert np.allclose(g(f, a), wanted)"], IMPORTS
    )
    assert first.inside == "a = 3\n__emit__(0, lambda: f(a))"
    assert (second.inside, second.outside) == (
        "__emit__(1, lambda: g(f, a))",
        "assert np.allclose(__take__(1), wanted)",
    )
