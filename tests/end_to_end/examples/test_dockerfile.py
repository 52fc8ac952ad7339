"""The Dockerfile as far as it can be checked without an image registry: pins, user, copied paths, package."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILE = ROOT / "examples" / "docker" / "Dockerfile"


def stages() -> list[list[tuple[str, str]]]:
    """(instruction, the rest of its line) of every stage."""
    text = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", FILE.read_text(encoding="utf-8"), flags=re.MULTILINE))
    lines = [line.partition(" ") for line in text.splitlines() if line]
    starts = [number for number, (word, _, _) in enumerate(lines) if word == "FROM"]
    ends = [*starts[1:], len(lines)]
    return [[(word, rest) for word, _, rest in lines[a:b]] for a, b in zip(starts, ends, strict=True)]


def copied() -> dict[str, str]:
    """Path in the checkout -> folder or path in the image, of every COPY from the build's context."""
    found = {}
    for stage in stages():
        for word, rest in stage:
            if word == "COPY" and "--from=" not in rest:
                *sources, target = shlex.split(rest)
                found |= {source: target for source in sources}
    return found


def test_every_base_image_is_pinned_by_tag_and_digest() -> None:
    images = [stage[0][1].split()[0] for stage in stages()]
    assert len(images) == 2
    assert all(re.fullmatch(r"debian:\w+-\d{8}-slim@sha256:[0-9a-f]{64}", image) for image in images)


def test_the_image_runs_as_an_ordinary_user_with_bubblewrap_inside() -> None:
    last = stages()[-1]
    users = [rest for word, rest in last if word == "USER"]
    assert [re.fullmatch(r"[1-9]\d*:[1-9]\d*", user) is not None for user in users] == [True]
    words = [word for word, _ in last]
    assert words.index("USER") > max(number for number, word in enumerate(words) if word in ("RUN", "COPY"))
    assert any("bubblewrap" in rest.split() for word, rest in last if word == "RUN")
    assert all(
        "--no-install-recommends" in rest for stage in stages() for word, rest in stage if "apt-get install" in rest
    )


def test_every_copied_path_is_there_and_passes_the_ignore_file() -> None:
    kept = {line[1:] for line in Path(f"{FILE}.dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    assert copied().keys() == kept
    assert all((ROOT / path).exists() for path in copied())
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    needed = {*build["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"], build["project"]["readme"]}
    assert {*needed, "evalsuite", *build["project"]["license-files"], "pyproject.toml"} == copied().keys()


@pytest.mark.slow
def test_the_copied_paths_are_enough_to_install(tmp_path: Path) -> None:
    """The package is built as ``pip install /src`` builds it, from nothing but what the image holds."""
    (line,) = [rest for word, rest in stages()[0] if "pip install" in rest]
    source = tmp_path / line.split()[-1].strip("/")
    for path, target in copied().items():
        place = tmp_path / target.strip("/")
        if (ROOT / path).is_dir():
            shutil.copytree(ROOT / path, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            place.mkdir(exist_ok=True)
            shutil.copy(ROOT / path, place)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", tmp_path, source]
    subprocess.run(command, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"evalsuite/cli/main.py", "evalsuite/_conf/run.yaml", "evalsuite/_tasks/gsm8k/card.yaml"} <= names
