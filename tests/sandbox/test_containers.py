"""Container commands: what they are started with, and jobs that run behind exactly that.

No daemon is at hand in most places, so a stand-in carries the options out with bubblewrap; real podman is measured by
``python -m figures sandbox``.
"""

import sys
from pathlib import Path

import pytest

from evalsuite.sandbox import containers, isolation
from evalsuite.sandbox.client import Job, NoWall, Sandbox, open_sandbox
from evalsuite.sandbox.split_tests import split
from tests.support import container_stand_in

pytestmark = pytest.mark.skipif(bool(isolation.missing("bubblewrap")), reason=isolation.missing("bubblewrap") or "-")
ASKED = {
    "docker": ["run", "--network=none", "--ipc=none", "--read-only", "--cap-drop=ALL", "--user=65534:65534"],
    "apptainer": ["exec", "--userns", "--containall", "--no-home", "--net", "--network=none", "--ipc", "--pid"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ASKED)
def test_a_job_runs_behind_the_options_of_the_command(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / name
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {container_stand_in.__file__} {name} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("STAND_IN_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("EVALSUITE_TEST_SECRET", "private")
    box = Sandbox(name, nested=False, memory=512 << 20, disk=32 << 20, warm=("numpy",))
    try:
        code = "import os\ndef f(): return os.environ.get('EVALSUITE_TEST_SECRET'), os.listdir('.'), np.arange(3)"
        job = Job("import numpy as np", code, split(["assert str(f()) == target"], "import numpy as np"), 20.0)
        assert box.run(job, ["(None, [], array([0, 1, 2]))"]).ok
        full = "for name in 'ab':\n    with open(name, 'wb') as file: file.write(bytes(20 << 20))"
        result = box.run(Job("import os", full, split(["assert True"], ""), 20.0), [None])
        assert box.facts.startswith(f"{name}: {name} version 1.0, a process of its own for each job, seccomp")
        assert (result.ending, "No space left" in result.why) == ("exception", True)
    finally:
        box.close()
    words = (tmp_path / "log").read_text().split("\n")
    assert [word for word in ASKED[name] if word not in words] == []
    assert not any(word.endswith(":rw") or str(Path.home()) == word for word in words)


def test_a_command_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "podman"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(containers, "ANSWER_SECONDS", 0.1)
    with pytest.raises(NoWall, match=r"podman: .* timed out after 0\.1 seconds"):
        open_sandbox("podman")


def test_a_command_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert isolation.missing("podman") == "the command podman is not installed"
