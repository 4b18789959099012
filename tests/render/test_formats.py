"""Markdown, JUnit, HTML and SVG: what each holds, and that no text of the user's gets loose."""

from __future__ import annotations

import json
import re
import shlex
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from few import slow
from rich.cells import cell_len

from convcheck import cli
from convcheck.checks.compare import compare
from convcheck.checks.explain import explain
from convcheck.checks.picture import difference_map
from convcheck.render import table
from convcheck.render.report import Operand, Report, Style

ROOT = Path(__file__).resolve().parents[2]
QUESTION = [str(ROOT / f"fixtures/question/{name}.npy") for name in ("image", "filters")]
SYMMETRIC = [str(ROOT / f"fixtures/symmetric/{name}.npy") for name in ("image", "filters")]
IDENTIFY = [str(ROOT / f"fixtures/identify/{name}.npy") for name in ("image", "filters", "out")]
COMMANDS = {
    "compare": ["compare", *QUESTION],
    "mismatch": ["compare", *QUESTION, "--expect", "correlation"],
    "random": ["random", "--shape", "3x5x5", "--seed", "1", "--trials", "3"],
    "identify": ["identify", *IDENTIFY],
    "unexplained": ["identify", *IDENTIFY, "--expect", "flipped"],
    "audit": ["audit", *SYMMETRIC],
    "enough": ["audit", *SYMMETRIC, "--min-score", "0.5"],
    "figures": ["compare", *QUESTION, "--explain", "--picture"],
}
# Those of a search are to the letter in test_golden.py.
EACH = [slow(name) if COMMANDS[name][0] == "identify" else name for name in COMMANDS]
NASTY = [
    "a b.npy",
    "[bold]x[bold].npy",
    "<script>alert(1).npy",
    "new\nline.npy",
    "`ticks`|pipe.npy",
    "esc\x1b[31m.npy",
    "]]>&amp;\"'.npy",
]


def written(tmp_path: Path, name: str, *arguments: str) -> str:
    cli.run([arguments[0], "-o", str(tmp_path / name), *arguments[1:]])
    return (tmp_path / name).read_text(encoding="utf-8")


class Page(HTMLParser):
    """What a browser would make of it: the text, the tags, whatever they name."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [f"{k}={v}" for k, v in attrs if k in {"src", "href", "onload", "srcset"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def junit(document: str) -> ET.Element:
    """The document's suite; its counts are those of its cases."""
    root = ET.fromstring(document)
    (suite,) = root
    for element in (root, suite):
        assert int(element.attrib["tests"]) == len(suite.findall("testcase")) > 0
        for plural, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            if (element.tag, plural) != ("testsuites", "skipped"):
                assert int(element.attrib[plural]) == len(suite.findall(f"testcase/{tag}"))
    return suite


def junit_schema() -> Any:
    return pytest.importorskip("xmlschema").XMLSchema(str(ROOT / "tests" / "junit.xsd"))


@pytest.mark.parametrize("command", ["compare", "mismatch", "random", "audit", "enough"])
def test_junit_holds_to_its_schema(command: str, tmp_path: Path) -> None:
    junit_schema().validate(written(tmp_path, "report.xml", *COMMANDS[command]))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("<testsuites name", "<testsuites skipped='0' name"),
        ('tests="1"', 'tests="0"'),
        ('failures="1"', 'failures="-1"'),
        ("failure", "broken"),
        (' type="mismatch"', ""),
        ('time="', 'time="about '),
        ("</testsuite>", "<testcase name='x' classname='y' time='0.000'/></testsuite>"),
    ],
)
def test_the_schema_can_refuse(right: str, wrong: str, tmp_path: Path) -> None:
    document = written(tmp_path, "report.xml", *COMMANDS["mismatch"])
    assert right in document
    assert not junit_schema().is_valid(document.replace(right, wrong))


@pytest.mark.parametrize("command", COMMANDS)
def test_junit_has_a_failure_where_the_exit_code_is_1(command: str, tmp_path: Path) -> None:
    path = tmp_path / "report.xml"
    code = cli.run([*COMMANDS[command], "-o", str(path)])
    suite = junit(path.read_text(encoding="utf-8"))
    assert (int(suite.attrib["failures"]) > 0) == (code == 1)
    assert suite.attrib["errors"] == "0"


def test_junit_names_every_blind_spot(tmp_path: Path) -> None:
    suite = junit(written(tmp_path, "a.xml", *COMMANDS["audit"]))
    failed = [case.attrib["name"] for case in suite.iter("testcase") if case.findall("failure")]
    assert failed == ["flip I", "channels reversed"]
    allowed = junit(written(tmp_path, "b.xml", *COMMANDS["enough"]))
    assert (allowed.attrib["failures"], allowed.attrib["skipped"]) == ("0", "2")


def test_junit_of_random_has_the_line_that_runs_it_again(tmp_path: Path) -> None:
    failing = ["random", "--shape", "3x5x5", "--seed", "7", "--expect", "correlation"]
    suite = junit(written(tmp_path, "a.xml", *failing))
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.text is not None
    line = "convcheck random --shape 3x5x5 --filters 1x3x2x2 --expect correlation --seed 7"
    assert line in failure.text
    assert suite[0].attrib["name"] == line


def test_each_trial_is_a_case_with_its_own_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trials = ["random", "--shape", "2x5x5", "--seed", "7", "--trials", "4"]
    suite = junit(written(tmp_path, "a.xml", *trials, "--expect", "correlation"))
    assert suite.attrib["failures"] == "4"
    line = "convcheck random --shape 2x5x5 --filters 1x2x2x2 --expect correlation --seed "
    for case, seed in zip(suite.findall("testcase"), range(7, 11), strict=True):
        assert case.attrib["name"] == case.findtext("system-out") == f"{line}{seed}"
        failure = case.find("failure")
        assert failure is not None
        assert failure.attrib["type"] == "mismatch"
        assert str(failure.text).endswith(f"\n{line}{seed}")
    # The line is true: alone, the case fails as it did among the others.
    assert cli.run(f"{line}9".split()[1:]) == 1
    passing = junit(written(tmp_path, "b.xml", *trials))
    assert (passing.attrib["tests"], passing.attrib["failures"]) == ("4", "0")


@pytest.mark.parametrize(
    "command", ["compare", "mismatch", "identify", slow("unexplained"), "enough"]
)
def test_the_line_of_a_case_runs_it_again(command: str, tmp_path: Path) -> None:
    arguments = COMMANDS[command]
    suite = junit(written(tmp_path, "a.xml", *arguments))
    for case in suite.findall("testcase"):
        line = shlex.split(str(case.findtext("system-out")))
        assert sorted(line) == sorted(["convcheck", *arguments])


def test_a_file_like_an_option_is_replayed_as_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("-v.npy", np.load(QUESTION[0]))
    suite = junit(written(tmp_path, "a.xml", "compare", "--", "-v.npy", QUESTION[1]))
    line = shlex.split(str(suite.findtext("testcase/system-out")))
    assert line == ["convcheck", "compare", "--", "-v.npy", QUESTION[1]]


@pytest.mark.parametrize("command", EACH)
def test_html_is_one_page_that_asks_for_nothing(command: str, tmp_path: Path) -> None:
    page = written(tmp_path, "report.html", *COMMANDS[command])
    assert page.startswith('<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">')
    assert "http:" not in page.lower()
    assert "https:" not in page.lower()
    assert "url(" not in page
    assert "@import" not in page
    assert "prefers-color-scheme: dark" in page
    parsed = Page(page)
    assert parsed.links == []
    assert (
        {"title", "style", "pre"}
        <= set(parsed.tags)
        <= {
            *("html", "head", "meta", "title", "style", "body", "pre", "span"),
        }
    )


def test_html_says_what_the_table_says(tmp_path: Path) -> None:
    page = Page(written(tmp_path, "report.html", *COMMANDS["figures"]))
    table = written(tmp_path, "report.txt", *COMMANDS["compare"])
    shown = [line.rstrip() for line in page.text.split("\n")]
    at = shown.index(table.split("\n")[0])
    lines = table.rstrip("\n").split("\n")
    assert shown[at : at + len(lines)] == lines


def test_both_themes_name_the_same_rules(tmp_path: Path) -> None:
    page = written(tmp_path, "report.html", *COMMANDS["figures"])
    light, dark = page.split("@media")
    rules = re.compile(r"^\.(r\d+) ", re.MULTILINE)
    assert rules.findall(light) == rules.findall(dark.split("</style>")[0])
    used = set(re.findall(r'class="(r\d+)"', page))
    assert used <= set(rules.findall(light))


@pytest.mark.parametrize("command", EACH)
def test_svg_is_xml_that_fetches_nothing(command: str, tmp_path: Path) -> None:
    picture = written(tmp_path, "report.svg", *COMMANDS[command])
    root = ET.fromstring(picture)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")
    # How long a search took is in its report.
    if COMMANDS[command][0] != "identify":
        assert picture == written(tmp_path, "again.svg", *COMMANDS[command])


@pytest.mark.parametrize("command", EACH)
def test_markdown_has_the_verdict_and_closed_fences(command: str, tmp_path: Path) -> None:
    page = written(tmp_path, "report.md", *COMMANDS[command])
    verdict = json.loads(written(tmp_path, "r.json", *COMMANDS[command]))["verdict"]
    assert re.match(rf"### (✅|❌) convcheck \w+: {verdict}\n\n", page)
    assert page.count("```") % 2 == 0
    assert "\n\n\n" not in re.sub(r"```.*?```", "code", page, flags=re.DOTALL)


def test_markdown_is_exactly_this(tmp_path: Path) -> None:
    page = written(tmp_path, "report.md", *COMMANDS["compare"])
    assert page.replace(str(ROOT) + "/", "") == (
        "### ✅ convcheck compare: match\n"
        "\n"
        "| array | shape | dtype | from |\n"
        "|---|---|---|---|\n"
        "| IMG | 3×5×5 | float32 | `fixtures/question/image.npy` |\n"
        "| W | 3×2×2 | float32 | `fixtures/question/filters.npy` |\n"
        "\n"
        "Judged against `scipy.signal.convolve(x, w, 'valid', method='direct')`.\n"
        "\n"
        "| decomposition | verdict | elements that differ | largest difference | threshold |\n"
        "|---|---|---|---|---|\n"
        "| **per-channel** `Σ_c conv2d(x[c], w[k,c])` | DIFFERS | 15 of 16 | "
        "58 at (0, 1, 0): 256, scipy 198 | 0 |\n"
        "| **flipped** `Σ_c conv2d(x[c], w[k,C-1-c])` | **MATCHES** | 0 of 16 | none | 0 |\n"
        "| **correlation** `Σ_c correlate2d(x[c], w[k,c])` | DIFFERS | 16 of 16 | "
        "66 at (0, 3, 3): 306, scipy 372 | 0 |\n"
        "\n"
        "match: flipped matches scipy.signal.convolve to the last digit, all 16 elements.\n"
        "\n"
        "Why: scipy's N-D convolution reverses every axis of the filter: rows, columns and the "
        "channel axis too. So image channel c meets filter channel C-1-c (here 0 with 2, 1 with "
        "1, 2 with 0).\n"
        "\n"
        "If you wanted another row, call instead:\n"
        "\n"
        "```text\n"
        "per-channel  scipy.signal.convolve(x, w[::-1], 'valid')\n"
        "correlation  scipy.signal.correlate(x, w, 'valid')\n"
        "```\n"
    )


@pytest.mark.parametrize("name", NASTY)
@pytest.mark.parametrize("ending", ["html", "svg", "xml", "md", "txt"])
def test_a_name_is_shown_as_it_is(
    name: str, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save(name, np.load(QUESTION[0]))
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)
    made = written(tmp_path, f"report.{ending}", "compare", name, QUESTION[1])
    assert "\x1b" not in made
    if ending == "html":
        page = Page(made)
        assert shown in page.text
        assert "script" not in page.tags
    elif ending == "svg":
        words = "".join(ET.fromstring(made).itertext()).replace("\xa0", " ")
        assert shown in words
    elif ending == "xml":
        assert shown in str(junit(made).findtext("system-out"))
    elif ending == "md":
        row = next(line for line in made.split("\n") if line.startswith("| IMG "))
        assert shown.replace("|", "\\|") in row
        assert row.replace("\\|", "").count("|") == 5
    else:
        assert shown in made


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("a.json", "{"),
        ("a.JSON", "{"),
        ("a.md", "###"),
        ("a.xml", "<?xml"),
        ("a.html", "<!DOCTYPE"),
        ("a.svg", "<svg"),
        ("a.txt", "IMG"),
        ("a", "IMG"),
    ],
)
def test_the_file_names_the_format(name: str, begins: str, tmp_path: Path) -> None:
    assert written(tmp_path, name, *COMMANDS["compare"]).startswith(begins)
    named = written(tmp_path, name, *COMMANDS["compare"], "--format", "table")
    assert named.startswith("IMG")


@pytest.mark.parametrize("form", ["table", "markdown", "html", "svg", "junit", "json"])
def test_a_format_can_go_to_a_pipe(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([*COMMANDS["compare"], "--format", form]) == 0
    assert capsys.readouterr().out.strip()


CONV = """\
import numpy as np


def right(x, w):
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], (2, 3))
    return np.einsum("nchwij,kcij->nkhw", windows.astype(float), w.astype(float))


def conv(x, w, stride=1):
    if x.shape[-1] == 7:
        raise ZeroDivisionError("<seven> & ]]>")
    return right(x, w)[:, :, ::stride, ::stride]
"""


@pytest.mark.parametrize(("target", "code"), [("mine:conv", 1), slow("mine:right", 0)])
def test_a_target_that_crashes_is_an_error(
    target: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(CONV)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    case = ["verify", target, "--cases", "40"]
    assert cli.run([*case, "-o", "report.xml"]) == code
    suite = junit((tmp_path / "report.xml").read_text(encoding="utf-8"))
    if find_spec("xmlschema"):
        junit_schema().validate((tmp_path / "report.xml").read_text(encoding="utf-8"))
    assert suite.attrib["failures"] == "0"
    assert (suite.attrib["errors"] != "0") == (code == 1)
    passed = next(case for case in suite.iter("testcase") if not case.findall("error"))
    assert passed.findtext("system-out") == f"convcheck verify {target} --seed 0 --cases 40"
    for error in suite.iter("error"):
        assert error.attrib["type"] == "crash"
        assert "<seven> & ]]>" in error.attrib["message"]
        assert f"convcheck verify {target} --replay " in str(error.text)
    page = written(tmp_path, "report.md", *case)
    assert page.startswith("### ")
    assert "| IMG" not in page


# --- the table ---------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("color", [False, True])
def test_a_report_at_every_width(width: int, color: bool) -> None:
    image, filters = (np.load(path) for path in QUESTION)
    result = compare(image, filters)
    flips = {row.name: row.flip for row in result.decompositions}
    report = Report(
        command="compare",
        image=Operand("image.npy", image.shape, "float32"),
        filters=Operand("filters.npy", filters.shape, "float32"),
        result=result,
        exit_code=result.exit_code,
        explanation=explain(image, filters, flips, (0, 3, 3)),
        picture=difference_map(image, filters, (), name="correlation", method="direct"),
    )
    shown = table.render(report, Style(width=width, color=color))
    bare = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    lines = [line.rstrip() for line in bare.split("\n")]
    assert ("\x1b" in shown) == color
    assert max(map(cell_len, lines)) <= max(width, 80)
    if width >= 80:
        assert lines[4] == (
            " decomposition                   differ     largest difference, at (k, y, x)"
        )
    else:
        at = lines.index("per-channel")
        assert lines[at + 1 : at + 3] == ["Σ_c conv2d(x[c], w[k,c])", "DIFFERS 15 of 16"]


# --- markdown, as a renderer reads it -----------------------------------------------------------


def read_as_markdown(page: str) -> list[Any]:
    """The page's tokens; rich brings the parser along."""
    from markdown_it import MarkdownIt

    return list(MarkdownIt("commonmark", {"html": True}).enable("table").parse(page))


def inline(tokens: list[Any]) -> list[Any]:
    return [child for token in tokens for child in token.children or []]


@pytest.mark.parametrize("command", EACH)
def test_markdown_is_read_as_it_was_meant(command: str, tmp_path: Path) -> None:
    tokens = read_as_markdown(written(tmp_path, "report.md", *COMMANDS[command]))
    assert tokens[0].tag == "h3"
    assert not [t for t in [*tokens, *inline(tokens)] if t.type.startswith(("html", "image", "em"))]
    fences = [token for token in tokens if token.type == "fence"]
    assert all(token.info == "text" for token in fences)


def table_rows(tokens: list[Any]) -> list[list[str]]:
    """The cells of every table's rows, as their text."""
    rows: list[list[str]] = []
    for before, token in pairwise(tokens):
        if before.type == "tr_open":
            rows.append([])
        if before.type in {"th_open", "td_open"}:
            rows[-1].append("".join(c.content for c in token.children))
    return rows


@pytest.mark.parametrize("name", [*NASTY, "x" * 200 + ".npy", "``.npy", "a\\|b.npy", "`", "|"])
def test_a_name_stays_in_its_cell(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with open(name, "wb") as file:  # noqa: PTH123 - np.save would add an ending
        np.save(file, np.load(QUESTION[0]))
    tokens = read_as_markdown(written(tmp_path, "report.md", "compare", name, QUESTION[1]))
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)
    assert table_rows(tokens)[1] == ["IMG", "3×5×5", "float32", shown]
    assert not [token for token in inline(tokens) if token.type == "html_inline"]
