"""A run on a local Ray cluster of two nodes, one of which is killed midway."""

import contextlib
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.store.samples import read_samples
from tests.support.conf_files import ROOT, write_conf
from tests.support.scripted_endpoint import Answer, scripted_endpoint
from tests.support.toy import right


@dataclass(frozen=True, slots=True)
class RayRun:
    """What came out."""

    code: int
    said: str
    planned: int
    rows: int
    distinct: int
    """Distinct (item, repeat) of the rows."""
    right: int
    asked_again: int
    """Requests beyond one per sample: what was in flight on the node that died."""
    nodes: int
    """Nodes that wrote journals before and after the kill (distinct worker processes)."""


def _switch_off(node: Any) -> None:
    """SIGKILL everything that a node runs, its workers first, as when a machine loses power."""
    import psutil

    raylets = [info.process.pid for info in node.all_processes["raylet"]]
    for pid in raylets:
        for process in [*psutil.Process(pid).children(recursive=True), psutil.Process(pid)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def one_node_killed(folder: Path, items: int, repeats: int = 2, delay: float = 0.1) -> RayRun:
    """Run ``items`` additions on a head node without processors and two others; kill one when a third is done."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        nodes = [cluster.add_node(num_cpus=2, include_dashboard=False) for _ in range(2)]
        with scripted_endpoint(lambda prompt: Answer(right(prompt), reasoning="easy", delay=delay)) as server:
            conf = write_conf(folder / "conf", ("m1", server.base_url), concurrency=16)
            results = folder / "results"
            command = [sys.executable, "-m", "evalsuite", "run", "model=m1", "task=additions", "run_id=r"]
            command += [f"results_dir={results}", f"tasks.additions.options.count={items}", "engine.probe=false"]
            command += ["engine.fingerprint=false", "models.m1.served_name=scripted", f"--config-dir={conf}"]
            command += [f"tasks.additions.repeats={repeats}", "launch=ray", "launch.shard=20", "launch.tasks=4"]
            command += [f"launch.address={cluster.address}"]
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            while len(server.requests) < items * repeats // 3 and process.poll() is None:
                time.sleep(0.05)
            _switch_off(nodes[1])
            cluster.remove_node(nodes[1], allow_graceful=False)
            said = process.communicate(timeout=300)[0]
            asked = Counter(str(one.body["messages"]) + str(one.body["seed"]) for one in server.requests)
    finally:
        cluster.shutdown()
    cell = results / "r" / "m1" / "additions"
    rows = read_samples(cell, ["item_id", "repeat", "outcome"]).to_pylist()
    return RayRun(
        code=process.returncode,
        said=said,
        planned=items * repeats,
        rows=len(rows),
        distinct=len({(row["item_id"], row["repeat"]) for row in rows}),
        right=sum(row["outcome"] == "correct" for row in rows),
        asked_again=asked.total() - len(asked),
        nodes=len({path.name.split("-")[-2] for path in cell.glob("journal-*.jsonl")}),
    )
