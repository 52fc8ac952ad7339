"""A program that stands in for ``docker`` and ``apptainer``: it carries the asked options out with bubblewrap.

Run as ``docker run ...`` or ``apptainer exec ...``; it writes the words that it was given, one a line, to the file
that ``STAND_IN_LOG`` names, and refuses an option that it does not know.
"""

import os
import sys
from pathlib import Path

IGNORED = ("--rm", "--interactive", "--pull=never", "--log-driver=", "--ulimit=", "--security-opt=", "--read-only")
IGNORED += ("--userns", "--containall", "--no-home", "--no-privs", "--no-eval", "--net", "--ipc", "--pid", "--uts")


def main(name: str, words: list[str]) -> None:
    """Answer to ``--version`` and ``image inspect``, else become the asked program behind a wall."""
    if words[0] in ("--version", "image"):
        sys.stdout.write(f"{name} version 1.0, a stand-in\n")
        return
    Path(os.environ["STAND_IN_LOG"]).write_text("\n".join(words))
    options = [word for word in words[1:] if word.startswith("--") and words.index(word) < _image(words)]
    box = ["bwrap", "--unshare-all", "--clearenv", "--proc", "/proc", "--dev", "/dev", "--new-session", "--as-pid-1"]
    for option in options:
        box += translated(*option.partition("=")[::2], option)
    os.execvp("bwrap", [*box, "--remount-ro", "/dev", "--remount-ro", "/", *words[_image(words) + 1 :]])


def _image(words: list[str]) -> int:
    """Place of the first word that is no option: the image."""
    return next(place for place, word in enumerate(words) if place > 0 and not word.startswith("--"))


def translated(name: str, value: str, option: str) -> list[str]:
    """An option of both commands in bubblewrap's words."""
    if name in ("--volume", "--bind"):
        source, target, mode = value.split(":")
        assert mode == "ro"
        return ["--ro-bind", source, target]
    if name in ("--tmpfs", "--mount"):
        fields = dict(part.partition("=")[::2] for part in value.replace(":", ",").split(","))
        return ["--size", fields["size"], "--tmpfs", fields.get("destination") or value.partition(":")[0]]
    if name == "--env":
        return ["--setenv", *value.partition("=")[::2]]
    if name == "--user":
        return ["--uid", value.partition(":")[0], "--gid", value.partition(":")[2]]
    if name in ("--workdir", "--pwd"):
        return ["--chdir", value]
    assert option in ("--network=none", "--ipc=none", "--cap-drop=ALL") or option.startswith(IGNORED), option
    return []


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
