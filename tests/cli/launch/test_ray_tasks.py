from pathlib import Path

import pytest

from evalsuite.config.scale import Scale
from evalsuite.config.settings import Model, Run
from tests.support.ray_cluster import one_node_killed


@pytest.mark.slow
def test_every_sample_once_though_a_node_dies(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    done = one_node_killed(tmp_path, 60)
    assert done.code == 0, done.said
    assert done.rows == done.distinct == done.right == done.planned == 120
    assert 0 < done.asked_again <= 16, done.said  # what was in flight on the node that died
    assert not list((tmp_path / "results" / ".ray").rglob("journal-*"))


@pytest.mark.slow
def test_tasks_of_one_endpoint_share_its_limit() -> None:
    pytest.importorskip("ray")
    from evalsuite.cli.launch.ray_tasks import at_once

    def model(url: str) -> Model:
        return Model("T", "org/c", None, "bf16", base_url=url)

    one = Run(models={"a": model("x"), "b": model("x")}, launch=Scale(kind="ray", tasks=8))
    two = Run(models={"a": model("x"), "b": model("y")}, launch=Scale(kind="ray", tasks=8))
    assert (at_once(one), at_once(two)) == (8, 4)
