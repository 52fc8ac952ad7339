"""Pictures: where their bytes come from, that they arrive unchanged or without loss, and what is said when not."""

import base64
import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evalsuite.errors import BadInput
from evalsuite.tasks.datasets import Source, pin
from evalsuite.tasks.mmmu.images import PNG, data_url, png
from tests.support import mmmu_items as made_mmmu
from tests.support import questions as made

Image = pytest.importorskip("PIL.Image")


def decoded(url: str) -> bytes:
    return base64.b64decode(url.removeprefix("data:image/png;base64,"), validate=True)


def encoded(picture: Any, kind: str) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


def painted(mode: str, size: tuple[int, int] = (300, 77)) -> Any:
    """A picture in which neighbours differ; more than one stored block large."""
    width, height = size
    channels = len(Image.new(mode, (1, 1)).getbands())
    count = width * height * channels
    return Image.frombytes(mode, size, hashlib.shake_256(mode.encode()).digest(count))


def test_a_png_file_passes_byte_by_byte() -> None:
    for raw in (made_mmmu.picture(3), encoded(painted("RGB"), "PNG"), PNG + b"whatever follows"):
        assert decoded(data_url(raw)) == raw


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("RGB", "BMP"), ("L", "BMP"), ("RGBA", "TIFF"), ("LA", "TIFF"), ("RGB", "JPEG"), ("L", "JPEG"), ("RGBA", "WEBP")],
)
def test_other_formats_keep_every_pixel(mode: str, kind: str) -> None:
    raw = encoded(painted(mode), kind)
    file = decoded(data_url(raw))
    assert file.startswith(PNG)
    with Image.open(io.BytesIO(raw)) as original, Image.open(io.BytesIO(file)) as sent:
        sent.load()  # checks every checksum
        assert (sent.format, sent.mode, sent.size) == ("PNG", original.mode, original.size)
        assert sent.tobytes() == original.tobytes()
    assert data_url(raw) == data_url(raw)


def test_palettes_bits_and_print_colours_are_shown_as_they_look() -> None:
    palette = painted("RGB").quantize(16)
    clear = palette.copy()
    clear.info["transparency"] = 0
    for picture, kind, mode in (
        (palette, "GIF", "RGB"),
        (painted("L").convert("1"), "TIFF", "L"),
        (painted("CMYK"), "TIFF", "RGB"),
        (clear, "GIF", "RGBA"),
    ):
        raw = encoded(picture, kind)
        with Image.open(io.BytesIO(raw)) as original, Image.open(io.BytesIO(decoded(data_url(raw)))) as sent:
            assert sent.mode == mode
            assert sent.tobytes() == original.convert(mode).tobytes()


def test_the_made_png_is_the_same_everywhere() -> None:
    assert hashlib.sha256(png(300, 77, "RGB", painted("RGB").tobytes())).hexdigest() == SAME


def test_what_cannot_be_sent_without_loss_is_refused() -> None:
    with pytest.raises(BadInput, match="a picture has F pixels, which cannot be sent without loss"):
        data_url(encoded(Image.new("F", (3, 3)), "TIFF"))
    for broken in (b"no pixels", b"P6\n3,3 25\n", encoded(Image.new("RGB", (3, 3)), "DDS")[:-1]):
        with pytest.raises(BadInput, match=f"a picture of {len(broken)} bytes cannot be read"):
            data_url(broken)


# ---------------------------------------------------------------- local files


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    made_mmmu.lay_out(tmp_path)
    return tmp_path


def adapter(root: Path, variant: str, task: str = "mmmu_pro") -> made.Single:
    return made.adapter(task, variant, Source("local", str(root)))


def test_items_hold_hashes_and_no_pixels(root: Path) -> None:
    items = list(adapter(root, "standard10").items())
    assert items[1].inputs["images"] == {
        f"image_{column}": hashlib.sha256(made_mmmu.picture(number)).hexdigest()
        for column, number in ((1, 2), (2, 3), (3, 4))
    }
    assert len(json.dumps([dict(item.inputs) for item in items])) < 3000


def test_a_picture_that_changes_during_a_run_stops_it(root: Path) -> None:
    task = adapter(root, "vision")
    item = next(iter(task.items()))
    (root / "mmmu_pro" / "pictures" / "1.png").write_bytes(made_mmmu.picture(99))
    with pytest.raises(BadInput, match="test_Physics_1: the picture in image has changed since the questions were"):
        task.prompt(item, 0)


@pytest.mark.parametrize("change", [{"image": None}, {"id": "another"}])
def test_a_picture_that_is_lost_during_a_run_stops_it(root: Path, change: dict[str, Any]) -> None:
    task = adapter(root, "vision")
    item = next(iter(task.items()))
    made.write(root / "mmmu_pro" / "vision.jsonl", [made_mmmu.PRO_ROWS["vision"][0] | change])
    with pytest.raises(BadInput, match="test_Physics_1: the picture in image is gone since the questions were loaded"):
        task.prompt(item, 0)


def test_other_pictures_are_other_data(root: Path) -> None:
    before = [item.inputs for item in adapter(root, "vision").items()]
    (root / "mmmu_pro" / "pictures" / "1.png").write_bytes(made_mmmu.picture(99))
    after = [item.inputs for item in adapter(root, "vision").items()]
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, True, True, True]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_2": None}, "item made lacks picture image_2: it has image_1, image_3"),
        ({"image_1": None, "image_2": None, "image_3": None}, "lacks picture image_1, image_3, image_2: it has none"),
        ({"question": "No tag", "options": "['a']", "image_1": None, "image_2": None, "image_3": None}, "lacks pictur"),
        ({"image_1": "pictures/none.png"}, "mmmu_pro item made: image_1 is .*pictures/none.png, No such file"),
        ({"image_1": "a\0.png"}, r"item made: image_1 is 'a\\x00.png', no name of a file"),
        ({"image_1": {"bytes": "x"}}, "item made: image_1 is dict, not the name of a picture file"),
        ({"options": "A, B"}, "item made: options are not the text of a list: 'A, B'"),
        ({"options": "'A'"}, "options are not the text of a list"),
        ({"options": "[{[]: 1}]"}, "options are not the text of a list"),
        ({"answer": "AB"}, "item made: key 'AB' is no letter"),
    ],
)
def test_broken_rows_are_named_before_anything_is_asked(root: Path, change: dict[str, Any], message: str) -> None:
    row = made_mmmu.PRO_ROWS["standard10"][1] | {"id": "made"} | change
    made.write(root / "mmmu_pro" / "standard10.jsonl", [row])
    with pytest.raises(BadInput, match=message):
        list(adapter(root, "standard10").items())


def test_a_vision_row_without_its_picture(root: Path) -> None:
    made.write(root / "mmmu_pro" / "vision.jsonl", [made_mmmu.PRO_ROWS["vision"][0] | {"image": None}])
    with pytest.raises(BadInput, match="mmmu_pro item test_Physics_1 lacks its picture in column image"):
        list(adapter(root, "vision").items())


# ---------------------------------------------------------------- the hub's files, as its cache holds them

ASK = """
import json, resource, sys
from evalsuite.tasks.registry import build
from evalsuite.tasks.datasets import HUB
from evalsuite.errors import BadInput
task, variant = sys.argv[1:]
try:
    made = build(task, variant=variant, options={}, source=HUB, seed=42)
    items = list(made.items())
    asked = [list(made.prompt(item, 0).messages) for item in reversed(items)]
    print(json.dumps([[item.id, dict(item.inputs), dict(item.groups)] for item in items] + asked))
except BadInput as error:
    print("BadInput:", error)
"""


def cached(home: Path, task: str, split: str, rows: list[dict[str, Any]]) -> Path:
    """The split's files in the hub's cache: all rows spread over the files, a hundred in a row group."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import yaml

    stated = pin(task)
    given = yaml.safe_load((Path(__file__).parents[2] / "tasks" / task / "card.yaml").read_text(encoding="utf-8"))
    parts = given["dataset"]["splits"][split]["parts"]
    snapshot = home / "hub" / f"datasets--{stated.hub.replace('/', '--')}" / "snapshots" / stated.revision
    picture = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    schema = pa.schema({name: picture if name.startswith("image") else pa.string() for name in rows[0]})
    share = -(-len(rows) // len(parts))
    for number, part in enumerate(parts):
        path = snapshot / stated.splits[split].file.replace("*", part)
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pa.Table.from_pylist(rows[number * share : (number + 1) * share], schema=schema)
        pq.write_table(table, path, row_group_size=100)
    return snapshot


def ask(home: Path, task: str, variant: str) -> str:
    env = os.environ | {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "XDG_CACHE_HOME": str(home / "cache")}
    words = [sys.executable, "-c", ASK, task, variant]
    return subprocess.run(words, check=True, capture_output=True, text=True, env=env).stdout


def hub_rows(count: int) -> list[dict[str, Any]]:
    """As many rows as the card states, with the pictures of the made ones."""
    kinds = made_mmmu.PRO_ROWS["standard10"]
    rows = []
    for number in range(count):
        row = kinds[number % 4] | {"id": f"test_Art_{number}"}
        held = {f"image_{column}": row.get(f"image_{column}") for column in range(1, 8)}
        numbers = {name: int(Path(file).stem) for name, file in held.items() if file}
        structs = {
            name: {"bytes": made_mmmu.picture(numbers[name]), "path": None} if name in numbers else None
            for name in held
        }
        rows.append(row | structs)
    return rows


def test_the_hubs_files_give_the_same_items_and_prompts_as_local_ones(tmp_path: Path) -> None:
    rows = hub_rows(1730)
    cached(tmp_path / "hf", "mmmu_pro", "standard10", rows)
    found = json.loads(ask(tmp_path / "hf", "mmmu_pro", "standard10"))
    made_mmmu.lay_out(tmp_path)
    kinds = made_mmmu.PRO_ROWS["standard10"]
    local = [kinds[number % 4] | {"id": row["id"]} for number, row in enumerate(rows)]
    made.write(tmp_path / "mmmu_pro" / "standard10.jsonl", local)
    task = adapter(tmp_path, "standard10")
    items = list(task.items())
    assert found[:1730] == [[item.id, dict(item.inputs), dict(item.groups)] for item in items]
    assert found[1730:] == [[dict(one) for one in task.prompt(item, 0).messages] for item in reversed(items)]


def test_the_hubs_files_can_lie_in_a_local_folder(tmp_path: Path) -> None:
    snapshot = cached(tmp_path / "hf", "mmmu_pro", "standard10", hub_rows(1730))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mmmu_pro").symlink_to(snapshot)
    task = adapter(tmp_path / "data", "standard10")
    last = list(task.items())[-3]
    assert last.id == "test_Art_1727"
    shown = [part["type"] for part in task.prompt(last, 0).messages[0]["content"]]
    assert shown == ["text", "image_url", "text"]
    next(snapshot.glob("standard*/test-00001*")).unlink()
    with pytest.raises(BadInput, match=r"mmmu_pro needs .*test-00001-of-00002.parquet, which does not exist"):
        list(task.items())
    with pytest.raises(BadInput, match=r"standard4 questions of mmmu_pro are neither at .*standard4.jsonl nor at"):
        list(adapter(tmp_path / "data", "standard4").items())


def test_what_is_wrong_with_the_hubs_files_is_said(tmp_path: Path) -> None:
    assert ask(tmp_path, "mmmu_pro", "standard4").startswith(
        "BadInput: MMMU/MMMU_Pro standard (4 options)/test-00000-of"
    )
    snapshot = cached(tmp_path, "mmmu_pro", "standard4", hub_rows(12))
    assert "test-*-of-00002.parquet has 12 rows, its card states 1730" in ask(tmp_path, "mmmu_pro", "standard4")
    rows = [{name: value for name, value in row.items() if name != "options"} for row in hub_rows(12)]
    cached(tmp_path, "mmmu_pro", "standard4", rows)
    assert "test-00000-of-00002.parquet lacks options: it has " in ask(tmp_path, "mmmu_pro", "standard4")
    first = next(snapshot.glob("standard*/test-00000*"))
    first.write_bytes(b"PAR1 and no more")
    assert "is damaged" in ask(tmp_path, "mmmu_pro", "standard4")


SAME = "6f1d7a97ff9debaccbe508e753aa7b34b1b94f5fbe5f4622c284ed234940ff14"
