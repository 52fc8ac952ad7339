"""``-m``: several jobs of one command line into one run."""

import os
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from evalsuite.cli.arguments import Arguments
from evalsuite.cli.launch.start import common_run_id, launch_jobs
from evalsuite.errors import BadInput, EvalsuiteError, Exit
from evalsuite.sandbox import safe_text


def run_sweep(arguments: Arguments, function: Callable[[Any], Exit]) -> Exit:
    """``-m``: run the jobs of comma-separated values one after the other, all into one run; returns the highest exit
    code.

    ``function`` is called with the settings of each job; a job that fails with an ``EvalsuiteError`` (printed) or exit
    code does not end the others, one that is stopped does, by ``SystemExit`` with 75 or the signal's code. With
    ``launch=joblib`` or ``slurm`` the jobs are launched instead. Raises ``BadInput`` for a job that cannot be composed
    (before any starts) and for ``launch=ray``. Replaces ``sys.argv``, which Hydra reads.
    """
    import hydra
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig

    from evalsuite.config import compose
    from evalsuite.config.override_values import protected

    words = [compose.as_key(word) for word in arguments.overrides]
    texts = [word for word in words if compose.is_text(word)]
    swept = [protected(word) for word in words if word not in texts]
    jobs = compose.sweep_jobs(swept, arguments.config_dir)
    runs = [compose.load_settings([*job, *texts], arguments.config_dir) for job in jobs]  # mistakes show first
    if runs[0].launch.kind == "ray":
        raise BadInput("launch=ray cuts one run into shards by itself: several models are 'model=[A,B]', without -m")
    if runs[0].run_id is None:
        texts.append(f"run_id={common_run_id(runs)}")
    if runs[0].launch.kind != "here":
        named = {" ".join(job): [*job, *texts] for job in jobs}
        return launch_jobs(named, runs[0].launch, arguments.config_dir)
    codes = [Exit.DONE]

    def job(_: Any) -> None:
        overrides = list(HydraConfig.get().overrides.task)
        GlobalHydra.instance().clear()  # Hydra composes this job itself; ours has the better messages
        run = compose.load_settings([*overrides, *texts], arguments.config_dir)
        try:
            codes.append(function(run))
        except EvalsuiteError as error:
            print(f"evalsuite: {safe_text.terminal(str(error))}", file=sys.stderr)
            codes.append(error.exit_code)
        if codes[-1] in (Exit.STOPPED, Exit.SIGINT, Exit.SIGTERM):
            sys.exit(int(codes[-1]))

    # Hydra's own files repeat every override, secrets too: they go where nothing stays
    with tempfile.TemporaryDirectory(prefix="evalsuite-sweep-") as scratch:
        silent = ["hydra/hydra_logging=none", "hydra/job_logging=none", "hydra.output_subdir=null"]
        sys.argv = ["evalsuite", "-m", *swept, *silent, f"hydra.sweep.dir='{scratch}'"]
        os.environ["HYDRA_FULL_ERROR"] = "1"  # a bug of ours reaches `main`, instead of Hydra's exit 1
        folder = str(compose.main_folder(arguments.config_dir))
        hydra.main(version_base="1.3", config_path=folder, config_name="run")(job)()
    return max(codes)
