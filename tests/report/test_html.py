"""The page as a file: what stands in it, that nothing a model wrote can run, and that nothing gated is in it."""

import base64
import hashlib
import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from evalsuite.cli.gate import gate
from evalsuite.cli.report import report
from evalsuite.config.report_settings import Report
from evalsuite.config.settings import Gate, Margin
from evalsuite.report import flips as browse
from evalsuite.report import formats, html
from evalsuite.report.build import DEMO_NOTE
from evalsuite.report.release_page import write_release_page
from tests.report.conftest import Reported
from tests.support.cells import Answer, Made, answers, write
from tests.support.made_runs import demo_run

HOSTILE = "</script><script>window.hurt = 1</script><img src=x onerror='window.hurt=1'>\u2028\u2029&amp;{{ 7*7 }}"
VENDOR = Path(html.__file__).parent / "vendor"


class Tables(HTMLParser):
    """Section id -> its first table as rows of cell texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: dict[str, list[list[str]]] = {}
        self._section, self._open = "", False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "section":
            self._section = dict(attrs).get("id") or ""
        elif tag == "tr":
            self.found.setdefault(self._section, []).append([])
        elif tag in ("td", "th"):
            self.found[self._section][-1].append("")
            self._open = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._open = False

    def handle_data(self, data: str) -> None:
        if self._open:
            self.found[self._section][-1][-1] += data.strip()


def page_of(run: Path, **settings: Any) -> tuple[str, dict[str, Any]]:
    report(Report(run=[str(run)], **settings))
    text = (run / "report" / "report.html").read_text(encoding="utf-8")
    return text, json.loads((run / "report" / "comparison.json").read_text())


def data_of(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    run = demo_run(tmp_path_factory.mktemp("html"))
    return page_of(run, gate=Gate({"word_problems": Margin(2.0, "tests", "fixed")}))


def test_the_data_of_all_plots_is_comparison_json(demo: tuple[str, dict[str, Any]]) -> None:
    text, content = demo
    assert data_of(text)["content"] == content


def test_tables_hold_the_numbers_of_comparison_json(demo: tuple[str, dict[str, Any]]) -> None:
    text, content = demo
    tables = Tables(text).found
    titles = {cell["model"]: cell["title"] for cell in content["cells"]}
    scores = {line[1]: line for line in tables["scores"][1:]}
    for cell in content["cells"]:
        low, high = (100 * bound for bound in cell["ci95"])
        assert scores[cell["title"]][2] == f"{100 * cell['score']:.1f} [{low:.1f}, {high:.1f}]"
        assert scores[cell["title"]][4] == str(cell["outcomes"]["correct"])
    head, *lines = tables["changes"]
    changes = {line[1]: dict(zip(head, line, strict=True)) for line in lines}
    strata_head, *strata = tables["strata-1"]
    for row in content["rows"]:
        line = changes[titles[row["candidate"]]]
        low, high = (100 * bound for bound in row["ci95"])
        assert line["delta pt [95 %]"] == f"{100 * row['delta']:+.2f} [{low:+.2f}, {high:+.2f}]"
        assert (line["lost"], line["gained"]) == (f"{row['lost']:.0f}", f"{row['gained']:.0f}")
        assert line["margin pt"] == "2.00"
        assert line["verdict"].startswith(row["verdict"]["call"])
        at = strata_head.index(f"{titles[row['candidate']]} pt [95 %]")
        for part in row["groups"]["subject"]:
            (stratum,) = [one for one in strata if one[0] == part["value"]]
            change = formats.change(part["delta"], tuple(part["ci95"]))
            assert stratum[at].removesuffix(" *") == change
            assert stratum[at].endswith("*") == (part["p_page"] < 0.05)
            assert stratum[at + 1] == ("<0.001" if part["q_bh"] < 0.001 else f"{part['q_bh']:.3f}")
    causes = {line[1]: dict(zip(tables["outcomes"][0], line, strict=True)) for line in tables["outcomes"][1:]}
    for row in content["rows"]:
        for cause in ("wrong", "truncated", "no_answer", "refused"):
            shown = causes[titles[row["candidate"]]][cause.replace("_", " ")]
            assert float(shown) == pytest.approx(100 * row["causes"][cause], abs=0.005)
    tokens = {line[1]: line for line in tables["tokens"][1:]}
    for row in content["rows"]:
        total = row["tokens"]["completion"]["total"]
        low, high = total["ci95"]
        assert tokens[titles[row["candidate"]]][4] == f"x{total['ratio']:.2f} [{low:.2f}, {high:.2f}]"


def test_bars_stand_where_the_numbers_say(demo: tuple[str, dict[str, Any]]) -> None:
    text, content = demo
    (section,) = re.findall(r'<section id="strata-1".*?</section>', text, re.DOTALL)
    bars = re.findall(
        r'<line class="zero" x1="([\d.]+)".*?<rect x="([\d.]+)" width="([\d.]+)".*?'
        r'<line class="whisker" x1="([\d.-]+)" x2="([\d.-]+)".*?<circle cx="([\d.]+)"',
        section,
        re.DOTALL,
    )
    parts = [part for row in content["rows"] for part in row["groups"]["subject"]]
    reach = max(abs(end) for part in parts for end in (part["delta"], *part["ci95"]))
    worst = {part["value"]: min(one["delta"] for one in parts if one["value"] == part["value"]) for part in parts}
    ordered = [
        next(part for part in row["groups"]["subject"] if part["value"] == value)
        for value in sorted(worst, key=lambda value: (worst[value], value))
        for row in content["rows"]
    ]
    assert len(bars) == len(ordered) == 6
    for found, part in zip(bars, ordered, strict=True):
        zero, left, width, low, high, dot = map(float, found)

        def value(place: float, zero: float = zero) -> float:
            return (place - zero) / 150 * 2.05 * reach

        shrunken = part["delta"] if part["shrunken"] is None else part["shrunken"]
        drawn = value(left) if shrunken < 0 else value(left + width)
        assert drawn == pytest.approx(shrunken, abs=reach / 1000)
        assert [value(low), value(high)] == pytest.approx(part["ci95"], abs=reach / 1000)
        assert value(dot) == pytest.approx(part["delta"], abs=reach / 1000)


def test_verdicts_come_first(demo: tuple[str, dict[str, Any]]) -> None:
    text, content = demo
    first = text.index('<section id="verdict">')
    assert first < text.index('<section id="scores"')
    head = text[first : text.index("</section>", first)]
    for row in content["rows"]:
        assert row["verdict"]["reason"] in unescape(head)
        assert f'badge {row["verdict"]["call"]}">' in head
    assert "margin 2.00 pt" in head


def test_without_a_gate_the_page_says_why_there_is_no_verdict(demo_report: Reported) -> None:
    text, content = demo_report.page, demo_report.content
    assert content["rows"][0]["verdict"] is None
    assert "No margins were given" in text
    assert 'class="badge' not in text


def test_with_a_gate_the_page_never_says_that_no_margins_were_given(tmp_path: Path) -> None:
    identity = {"checkpoint": "Qwen/Qwen3.5-397B-A17B-FP8"}
    low = answers([float(item % 3 > 0) for item in range(90)])
    cells = [Made(model, low, "gpqa_diamond", baseline="fp8", identity=identity) for model in ("fp8", "b")]
    run = write(tmp_path / "doubted", *cells)
    gate = Gate({"gpqa_diamond": Margin(2.0, "tests", "fixed")})
    text, content = page_of(run, gate=gate)
    assert content["rows"][0]["verdict"] is None
    assert "No margins were given" not in text
    assert "No verdicts: see baseline_waiver=" in unescape(text)
    other = write(tmp_path / "other", Made("a", low, planned=[*low, "lost"]), Made("b", low, planned=[*low, "lost"]))
    text, content = page_of(other, gate=gate)
    assert content["rows"][0]["verdict"] is None
    assert "No margins were given" not in text
    assert "nothing that it judges could be compared" in text


def test_heterogeneity_stands_beside_the_strata(demo_report: Reported) -> None:
    (section,) = re.findall(r'<section id="strata-1".*?</section>', demo_report.page, re.DOTALL)
    for row in demo_report.content["rows"]:
        test = row["heterogeneity"]["subject"]
        words = f"Q {test['q']:.1f} on {test['df']} df, p "
        assert words in section
        assert words in (demo_report.folder / "report.md").read_text("utf-8")


def test_what_differs_between_the_servers_stands_on_the_first_screen(tmp_path: Path) -> None:
    plain = {"dialect": "sglang", "kv_cache_dtype": "auto", "schedule_policy": "fcfs", "tp_size": 8, "x0": "a"}
    other = {"dialect": "sglang", "kv_cache_dtype": "fp8", "schedule_policy": "lpm", "tp_size": 4, "x0": "b" * 90}
    right = answers([1.0] * 20)
    run = write(
        tmp_path / "r",
        Made("a", right, server={"facts": plain | {f"x{n}": "a" for n in range(1, 5)}}),
        *(Made(n, right, baseline="a", server={"facts": other | {f"x{m}": "b" for m in range(1, 5)}}) for n in "bc"),
    )
    text, _ = page_of(run)
    head = unescape(text[text.index('<section id="verdict">') : text.index('<div class="cards">')])
    assert "b, c: kv_cache_dtype auto → fp8, tensor_parallel 8 → 4, schedule_policy fcfs → lpm, x0 a → bbb" in head
    assert f"{'b' * 39}…" in head
    assert ", and 3 more." in head


def test_the_page_to_sign_names_what_differs_and_what_was_not_decided(tmp_path: Path) -> None:
    old, new = ({"dialect": "sglang", "kv_cache_dtype": kv_cache} for kv_cache in ("auto", "fp8_e4m3"))
    right = answers([float(item % 10 > 0) for item in range(100)])
    cells = [
        Made(name, right, "gsm8k", baseline="a", server={"facts": facts}) for name, facts in (("a", old), ("b", new))
    ]
    run = write(tmp_path / "r", *cells)
    settings = Report(run=[str(run)], gate=Gate({"gsm8k": Margin(1.0, "tests", "fixed")}))
    report(settings)
    gate(settings)
    text = unescape(write_release_page(run, run / "report").read_text("utf-8"))
    first = text.index("What else differed, b: kv_cache_dtype auto → fp8_e4m3.")
    assert first < text.index("<h2>b against a: UNDECIDED</h2>") < text.index("<td>kv_cache_dtype</td>")
    not_decided = text[text.index("<h3>Not decided</h3>") :]
    assert "GSM8K: no number of repeats on these items would; " in not_decided


def test_demo_label(demo: tuple[str, dict[str, Any]], real_report: Reported) -> None:
    assert f'role="note">{DEMO_NOTE}</p>' in demo[0]
    assert "<title>Demo: " in demo[0]
    assert DEMO_NOTE not in real_report.page


def test_only_the_pages_own_scripts_may_run(demo: tuple[str, dict[str, Any]]) -> None:
    text, _ = demo
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    admitted = set(re.findall(r"sha256-([\w+/=]+)", unescape(policy[1])))
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert {base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in scripts} == admitted
    assert "unsafe-inline" not in policy[1].split("style-src")[0]
    assert "unsafe-eval" not in policy[1]
    outside = re.sub(r"<(script|style)\b.*?</\1>", "", text, flags=re.DOTALL)
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", outside)


def hostile_run(folder: Path) -> Path:
    subjects = {f"{HOSTILE}{number}": HOSTILE for number in range(6)}
    old = {item: [Answer(1.0, text=HOSTILE)] for item in subjects}
    new = {item: [Answer(float(number % 2), text=HOSTILE)] for number, item in enumerate(subjects)}
    identity = {"checkpoint": HOSTILE}
    return write(
        folder / "r",
        Made("a", old, subjects=subjects, title=HOSTILE, identity=identity),
        Made("b", new, subjects=subjects, title=f"{HOSTILE}b", baseline="a", identity=identity),
    )


def test_what_models_and_configurations_write_is_escaped(tmp_path: Path) -> None:
    run = hostile_run(tmp_path)
    text, content = page_of(run)
    assert text.lower().count("<script") == len(html._SCRIPTS) + 1
    assert "window.hurt" in text
    assert "<img" not in text
    assert "\u2028" not in text.split('id="data">')[1].split("</script>")[0]
    assert data_of(text)["content"] == content
    for path in (run / "report" / "texts").rglob("*.js"):
        script = path.read_text(encoding="utf-8")
        assert "<" not in script
        assert not {"\u2028", "\u2029"} & set(script)
        held = json.loads("[" + script.removeprefix("evalsuiteTexts(").removesuffix(");\n") + "]")
        assert held[4][f"{HOSTILE}0"]["0"][0] == HOSTILE


def test_gated_texts_stay_out(tmp_path: Path) -> None:
    secret = {str(item): [Answer(float(item % 2), text="zqsecret words")] for item in range(8)}
    run = write(tmp_path / "r", Made("a", secret, "gpqa_diamond"), Made("b", secret, "gpqa_diamond", baseline="a"))
    text, _ = page_of(run)
    task = data_of(text)["tasks"][0]
    assert task["gated"] is True
    assert task["shards"] == [None, None]
    assert "the items of this benchmark are gated" in text
    assert not list((run / "report").rglob("texts/*/*.js"))
    written = [path for path in (run / "report").rglob("*") if path.is_file()]
    assert not [path for path in written if b"zqsecret" in path.read_bytes()]


def test_every_text_is_in_the_file_that_the_page_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browse, "SHARD_BYTES", 4000)
    arms = {
        name: {str(item): [Answer(1.0, text=f"{name} {item} {k} " + "x" * 300) for k in range(2)] for item in range(20)}
        for name in ("a", "b")
    }
    run = write(tmp_path / "r", Made("a", arms["a"]), Made("b", arms["b"], baseline="a"))
    task = data_of(page_of(run)[0])["tasks"][0]
    assert max(max(shards) for arm in task["shards"] for shards in arm) > 2
    for number, model in enumerate(("a", "b")):
        for repeat in range(2):
            for item, shard in zip(task["items"], task["shards"][number][repeat], strict=True):
                script = (run / "report" / "texts" / "mmlu_pro" / f"{model}-{shard}.js").read_text()
                held = json.loads("[" + script.removeprefix("evalsuiteTexts(").removesuffix(");\n") + "]")
                assert held[:2] == ["mmlu_pro", number]
                assert held[4][item][str(repeat)][0] == arms[model][item][repeat].text


def test_too_many_texts_leave_those_that_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browse.write_texts, "__defaults__", (10,))
    run = write(tmp_path / "r", Made("a", answers([1, 1, 0, 0])), Made("b", answers([1, 0, 0, 1]), baseline="a"))
    text, _ = page_of(run)
    assert data_of(text)["tasks"][0]["shards"][0] == [[None, 0, None, 0]]
    assert "texts of the 2 items on which the precisions differ only" in text


def test_verdict_letters(tmp_path: Path) -> None:
    old = {"a": [Answer(1.0), Answer(0.0)], "b": [Answer(0.0, "truncated"), Answer(None)]}
    new = {"a": [Answer(0.5)], "b": [Answer(0.0, "no_answer")], "c": [Answer(0.0, "refused")]}
    run = write(tmp_path / "r", Made("x", old), Made("y", new, planned=["a", "b", "c"]))
    task = data_of(page_of(run)[0])["tasks"][0]
    assert task["items"] == ["a", "b", "c"]
    assert [arm["outcomes"] for arm in task["arms"]] == ["cwtf..", "wnr"]
    assert [arm["values"] for arm in task["arms"]] == [None, [0.5, 0.0, 0.0]]
    assert [arm["repeats"] for arm in task["arms"]] == [2, 1]


@pytest.mark.parametrize("line", (VENDOR / "README.md").read_text().splitlines())
def test_vendored_files_are_the_released_ones(line: str) -> None:
    found = re.fullmatch(r"\| `([\w.]+)` \|.*\| `([0-9a-f]{64})` \|", line)
    if found is not None:
        assert hashlib.sha256((VENDOR / found[1]).read_bytes()).hexdigest() == found[2]


def test_every_vendored_file_is_recorded() -> None:
    recorded = (VENDOR / "README.md").read_text()
    for path in VENDOR.iterdir():
        assert path.name == "README.md" or f"`{path.name}`" in recorded
        assert path.suffix not in (".js", ".css") or hashlib.sha256(path.read_bytes()).hexdigest() in recorded


def test_lone_surrogates_are_replaced_in_scripts() -> None:
    text = browse.script_json({"a\ud800": ["<\udfff", 1.5, None, {"b": ("\U0001f600",)}]}).decode()
    assert "<" not in text
    assert json.loads(text) == {"a\ufffd": ["<\ufffd", 1.5, None, {"b": ["\U0001f600"]}]}
    with pytest.raises(TypeError):
        browse.script_json({"a": object()})


def test_sort_keys() -> None:
    texts = ("-1.85 [-2.74, -1.04]", "<0.001", "2,000 x 3", "x1.02", formats.UNKNOWN, "law")
    keys = [html.sort_key(text) for text in texts]
    assert keys == ["-1.850000000", "0.001000000", "2000.000000000", "1.020000000", "-1e99", "law"]
