import shlex
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from evalsuite.config.hints import newest_run, quoted


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_a_quoted_word_is_one_word_to_a_shell(word: str) -> None:
    assert shlex.split(quoted(word)) == [word]


def test_hidden_folders_are_no_runs(tmp_path: Path) -> None:
    assert newest_run(tmp_path / "nothing") == newest_run(tmp_path) == "ID"
    (tmp_path / "a").mkdir()
    (tmp_path / ".slurm").mkdir()
    assert newest_run(tmp_path) == "a"
