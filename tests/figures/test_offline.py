import os
import shutil
from pathlib import Path

import pytest

from figures.offline import offline_install


@pytest.mark.skipif(
    os.environ.get("EVALSUITE_FIGURES") != "full", reason="EVALSUITE_FIGURES=full loads 200 MB of packages"
)
@pytest.mark.skipif(not (shutil.which("unshare") and shutil.which("ip")), reason="needs Linux with unshare and ip")
def test_installed_from_downloaded_packages_and_run_with_only_loopback(tmp_path: Path) -> None:
    found = offline_install(tmp_path)
    assert found.interfaces == ("lo",)
    assert found.samples == dict.fromkeys(("demo_bf16", "demo_fp8", "demo_nvfp4", "demo_nvfp4_v2"), 20)
    assert found.report
