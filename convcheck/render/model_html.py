"""model's report as a page: the layers as a list to search and sort, the departing one open."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from convcheck.render import model_table

if TYPE_CHECKING:
    from convcheck.checks.model import ModelResult, Row
    from convcheck.render.report import Report

_ABOUT = ("Not judged", "The outputs", "This input", "No input")
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
:root {{ --bad: #a40e26; --good: #116329; --line: #d0d7de; --soft: #f6f8fa; }}
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem;
  color: #1f2328; background: #fff; }}
h1 {{ font-size: 1.3rem; }}
.holds {{ color: var(--good); }} .departs, .unpaired {{ color: var(--bad); }}
.tools {{ display: flex; flex-wrap: wrap; gap: .5rem; margin: 1rem 0; }}
input, select {{ font: inherit; padding: .3rem .5rem; flex: 1 1 12rem; }}
details {{ border: 1px solid var(--line); border-radius: 6px; margin: .3rem 0; }}
summary {{ padding: .4rem .6rem; cursor: pointer; display: flex; flex-wrap: wrap;
  gap: .2rem .8rem; }}
summary b {{ overflow-wrap: anywhere; flex: 1 1 12rem; }}
.body {{ padding: 0 .8rem .6rem; border-top: 1px solid var(--line); }}
pre {{ background: var(--soft); padding: .5rem; overflow-x: auto; }}
@media (prefers-color-scheme: dark) {{
:root {{ --bad: #ff7b72; --good: #7ee787; --line: #30363d; --soft: #161b22; }}
body {{ color: #e6edf3; background: #0d1117; }}
}}
</style>
</head>
<body>
<h1 class="{verdict}">{line}</h1>
<p>{models}</p>
{notes}
<div class="tools">
<input id="find" type="search" placeholder="Find a layer" aria-label="Find a layer">
<select id="sort" aria-label="Sort by">
<option value="n">as they ran</option><option value="v">departing first</option>
<option value="b">fewest bits first</option><option value="t">slowest first</option>
</select>
</div>
<div id="layers">
{rows}
</div>
<p id="none" role="status" hidden>No layer has that in its name or its words.</p>
<script>
const list = document.getElementById("layers"), all = [...list.children];
document.getElementById("find").addEventListener("input", e => {{
  const wanted = e.target.value.toLowerCase();
  for (const one of all) one.hidden = !one.textContent.toLowerCase().includes(wanted);
  document.getElementById("none").hidden = all.some(one => !one.hidden);
}});
document.getElementById("sort").addEventListener("change", e => {{
  const key = e.target.value;
  all.sort((a, b) => a.dataset[key] - b.dataset[key] || a.dataset.n - b.dataset.n);
  list.append(...all);
}});
</script>
</body>
</html>
"""


def render(report: Report, title: str) -> str:
    """One page that asks for nothing else; without a script all layers are there, as they ran."""
    result: ModelResult = report.result
    first, *more = model_table.sentences(result)
    about = [line for line in more if line.startswith(_ABOUT)]
    departing = result.departing
    rows = [
        _row(n, row, opened=bool(departing) and row is departing[0])
        for n, row in enumerate(result.rows)
    ]
    return _PAGE.format(
        title=escape(title),
        verdict=result.verdict,
        line=_shown(first),
        models=_shown(" beside ".join(result.models)),
        notes="\n".join(f"<p>{_shown(line)}</p>" for line in about),
        rows="\n".join(rows),
    )


def _row(n: int, row: Row, *, opened: bool) -> str:
    name, kind, words, verdict, bits, seconds = model_table.cells(row)
    holds = row.verdict == "holds"
    lines = [f"<p>{_shown(kind)}; {_shown(words)}; {seconds}</p>"]
    said = model_table.why(row) if not holds else [cause.words for cause in row.causes]
    lines += [
        f"<pre>{_shown(line[2:])}</pre>" if line[:2] == "  " else f"<p>{_shown(line)}</p>"
        for line in said
    ]
    lines += [f"<p>Not to be seen here: {_shown(one.words)}.</p>" for one in row.unseen]
    least = bits or (99 if holds else 0)  # integers that are right come last
    order = f'data-n="{n}" data-v="{int(holds)}" data-b="{least}" data-t="{-row.seconds:.4f}"'
    head = f"<b>{_shown(name)}</b><span>{_shown(kind)}</span>"
    head += f'<span class="{row.verdict}">{verdict}</span><span>{bits and bits + " bits"}</span>'
    return (
        f"<details {order}{' open' if opened else ''}><summary>{head}</summary>"
        f'<div class="body">{"".join(lines)}</div></details>'
    )


def _shown(text: str) -> str:
    return escape("".join(c if c.isprintable() else repr(c)[1:-1] for c in text))
