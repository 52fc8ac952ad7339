"""Three invented problems in SciCode's schema: every kind of target, a given step, and answers right and wrong."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from evalsuite.tasks.datasets import Source

CMP = "from scicode.compare.cmp import cmp_tuple_or_list\n"
DEPENDENCIES = "import numpy as np\nimport sympy\nfrom scipy.integrate import simps, quad\nfrom scipy import sparse"
GIVEN = "class Box:\n    def __init__(self, side):\n        self.side = side\n"

GOLD = {
    "901.1": "def grid(n):\n    return np.arange(float(n)) ** 2",
    "901.2": "def ends(n):\n    values = grid(n)\n    return values[0], values[-1], len(values) > 3",
    "901.3": "def named(n):\n    if n == 0:\n        return 'empty'\n    return {0.5: np.ones(n), 2.0: 3}",
    "901.4": "def symbols(n):\n    x = sympy.Symbol('x')\n    return {x: float(n), 'name': sympy.Symbol('y')}",
    "902.1": "def diagonal(n, kind):\n    return sparse.identity(n, format=kind) * 2.0",
    "902.2": "def parts(n):\n    return [np.arange(n), np.array([simps(np.ones(3), dx=1.0), quad(np.cos, 0, 1)[0]])]",
    "62.2": "def volume(side):\n    return Box(side).side ** 3",
}
"""Step -> code that passes."""

TESTS = {
    "901.1": ["x = 4\nassert np.allclose(grid(x), target)", "assert np.isclose(grid(3)[2], target)"],
    "901.2": [CMP + "assert cmp_tuple_or_list(ends(5), target)"],
    "901.3": ["assert named(0) == target", CMP + "assert cmp_tuple_or_list([named(2)], [target])"],
    "901.4": ["from scicode.compare.cmp import are_dicts_close\nassert are_dicts_close(symbols(3), target)"],
    "902.1": [
        CMP + "A = diagonal(2, 'csr')\nassert cmp_tuple_or_list((A, A.shape[0]), target)",
        "B = diagonal(3, 'coo')\nassert np.allclose(B.toarray(), target.toarray())",
        "assert np.allclose(diagonal(4, 'bsr').toarray(), target.toarray())",
    ],
    "902.2": [
        CMP + "assert cmp_tuple_or_list(parts(3), target)",
        "for got, wanted in zip(parts(3), target):\n    assert np.allclose(got, wanted)",
    ],
    "62.1": ["assert Box(2).side == target"],
    "62.2": ["a = volume(2)\nb = volume(3)\nassert a == target[0] and b == target[1]"],
}
PROBLEMS = {
    "validation": {"901": ["901.1", "901.2", "901.3", "901.4"]},
    "test": {"902": ["902.1", "902.2"], "62": ["62.1", "62.2"]},
}


def lay_out(root: Path) -> Source:
    """Questions, given code and targets below ``root``."""
    for split, problems in PROBLEMS.items():
        path = root / "scicode" / f"{split}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(_problem(name, steps)) + "\n" for name, steps in problems.items()))
    (root / "62.1.txt").write_text(GIVEN)
    _write_targets(targets(root))
    return Source("local", str(root))


def targets(root: Path) -> Path:
    return root / "test_data.h5"


def fenced(code: str) -> str:
    return f"It is done so:\n```python\nimport os\n{code}\n```\nand that is all."


def _problem(name: str, steps: list[str]) -> dict[str, Any]:
    return {
        "problem_name": f"made_{name}",
        "problem_id": name,
        "problem_description_main": "Made.",
        "problem_background_main": "",
        "problem_io": "",
        "required_dependencies": DEPENDENCIES,
        "sub_steps": [_step(step) for step in steps],
        "general_tests": [],
    }


def _step(step: str) -> dict[str, Any]:
    header = "class Box:" if step == "62.1" else GOLD[step].partition("\n")[0]
    return {
        "step_number": step,
        "step_description_prompt": f"Write step {step}.",
        "step_background": f"Background of {step}.",
        "ground_truth_code": "",
        "function_header": f"{header}\n    '''Step {step}.'''",
        "test_cases": TESTS[step],
        "return_line": "    return it",
    }


def _write_targets(path: Path) -> None:
    import h5py
    from scipy import sparse

    csr, coo, bsr = (sparse.identity(n, format=kind) * 2.0 for n, kind in ((2, "csr"), (3, "coo"), (4, "bsr")))
    csr, coo, bsr = sparse.csr_matrix(csr), sparse.coo_matrix(coo), sparse.bsr_matrix(bsr)
    with h5py.File(path, "w") as file:
        file["901.1/test1/var1"] = np.arange(4.0) ** 2
        file["901.1/test2/var1"] = 4.0
        file["901.2/test1/var1"], file["901.2/test1/var2"] = 0.0, 16.0
        file["901.2/test1/var3"] = True
        file["901.3/test1/var1"] = "empty"
        file["901.3/test2/var1/0.5"], file["901.3/test2/var1/2.0"] = np.ones(2), 3
        file["901.4/test1/var1/x"], file["901.4/test1/var1/name"] = 3.0, "y"
        _write_sparse(file.create_group("902.1/test1/var1/sparse_matrix"), csr, ("indices", "indptr"))
        file["902.1/test1/var2"] = 2
        _write_sparse(file.create_group("902.1/test2/var1/sparse_matrix"), coo, ("row", "col"))
        _write_sparse(file.create_group("902.1/test3/var1/sparse_matrix"), bsr, ("indices", "indptr", "blocksize"))
        for test in ("test1", "test2"):
            file[f"902.2/{test}/var1/list/var1"] = np.arange(3)
            file[f"902.2/{test}/var1/list/var2"] = np.array([2.0, np.sin(1.0)])
        file["62.2/test1/var1"], file["62.2/test1/var2"] = 8, 27


def _write_sparse(group: Any, matrix: Any, names: tuple[str, ...]) -> None:
    for name in ("data", "shape", *names):
        group[name] = getattr(matrix, name)
