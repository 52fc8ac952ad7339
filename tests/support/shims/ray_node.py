"""``ray start --head``: a Ray cluster of one node at ``RAY_ADDRESS``, which ends with the shell that asked for it."""

import json
import os
import sys
import time
from pathlib import Path


def main() -> None:
    shell = os.getppid()
    if os.fork():
        ready = Path(os.environ["PAGE_JOBS"]) / "ray.json"
        for _ in range(600):
            if ready.exists():
                print(f"Ray runtime started at {json.loads(ready.read_text(encoding='utf-8'))}")
                return
            time.sleep(0.1)
        sys.exit("Ray did not start within a minute")
    from ray.cluster_utils import Cluster

    port = int(os.environ["RAY_ADDRESS"].rpartition(":")[2])
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 4, "include_dashboard": False, "gcs_server_port": port}
    )
    try:
        (Path(os.environ["PAGE_JOBS"]) / "ray.json").write_text(json.dumps(cluster.address), encoding="utf-8")
        while Path(f"/proc/{shell}").exists():
            time.sleep(0.5)
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
