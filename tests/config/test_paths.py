"""Paths of settings that begin with ``~``."""

from pathlib import Path

import pytest

from evalsuite.config.compose import load_report, load_settings
from evalsuite.errors import BadInput
from evalsuite.records import Item
from evalsuite.tasks.selection import selected_items

NOBODY = "~no-such-user/x"


@pytest.mark.parametrize(
    "word", [f"models.fp8.ca_file={NOBODY}", f"data.root={NOBODY}", f"tasks.gsm8k.select.ids={NOBODY}"]
)
def test_the_home_of_an_unknown_user_is_no_such_file(word: str) -> None:
    with pytest.raises(BadInput, match="there is no such"):
        load_settings(["model=fp8", "task=gsm8k", word])


def test_a_configuration_in_the_home_of_an_unknown_user_is_no_such_folder() -> None:
    for load in (load_settings, load_report):
        with pytest.raises(BadInput, match=f"{NOBODY}: there is no such folder"):
            load([], NOBODY)


def test_questions_and_ids_in_the_home_folder_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "ids.txt").write_text("b\n")
    words = ["task=gsm8k", "data.root=~", "tasks.gsm8k.select.ids=~/ids.txt"]
    settings = load_settings(words, command="doctor")
    assert (settings.data.kind, settings.data.root) == ("local", str(tmp_path))
    items = [Item(id=name, inputs={}) for name in "abc"]
    assert [item.id for item in selected_items(items, settings.tasks["gsm8k"].select, None, 1)] == ["b"]
