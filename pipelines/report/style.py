"""The style sheet of a report: light and dark, narrow and wide, on screen and on paper."""

from __future__ import annotations

import base64
import hashlib

_LIGHT = """
  --page: #f4f6f8; --card: #ffffff; --ink: #1a2530; --quiet: #53616e; --rule: #d3dae1;
  --grid: #e4e9ee; --now: #0a5fae; --then: #cc7a10; --bad: #b5301f; --bad-ink: #a3281a;
  --yes: #17703f; --yes-page: #e6f4ec; --care: #7a4f00; --care-page: #fdf1d8;
  --no: #a3281a; --no-page: #fbe6e3; --shade: 10, 95, 174;
"""
_DARK = """
  --page: #10161c; --card: #19212a; --ink: #e7ecf1; --quiet: #a7b4c0; --rule: #35424f;
  --grid: #2a3540; --now: #7cbcf5; --then: #b9701a; --bad: #ff8a76; --bad-ink: #ff9d8c;
  --yes: #7fd6a4; --yes-page: #14301f; --care: #f2c46d; --care-page: #33270d;
  --no: #ff9d8c; --no-page: #3a1814; --shade: 124, 188, 245;
"""
_SHADES = "".join(
    f".shade{n} {{ background: rgba(var(--shade), {n * 0.055:.3f}) }}\n" for n in range(9)
)

_RULES = """
:root { color-scheme: light dark; LIGHT }
@media (prefers-color-scheme: dark) { :root { DARK } }
* { box-sizing: border-box }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100% }
body {
  margin: 0 auto; padding: 16px; max-width: 1040px; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif;
  overflow-wrap: anywhere;
}
h1 { font-size: 1.4rem; line-height: 1.25; margin: 0 0 12px }
h1 span { display: block; font-size: 0.9rem; font-weight: 400; color: var(--quiet) }
h2 { font-size: 1.15rem; margin: 0 0 8px }
h3 { font-size: 1rem; margin: 16px 0 6px }
p { margin: 0 0 12px; max-width: 75ch }
a { color: var(--now) }
section {
  background: var(--card); border: 1px solid var(--rule); border-radius: 8px;
  padding: 16px; margin: 16px 0;
}
.verdict {
  max-width: none; padding: 14px 16px; margin: 0 0 16px; border-radius: 8px;
  border-left: 6px solid currentColor;
}
.verdict strong { display: block; font-size: 1.2rem; line-height: 1.35 }
.verdict span { color: var(--ink) }
.yes { color: var(--yes); background: var(--yes-page) }
.care { color: var(--care); background: var(--care-page) }
.no { color: var(--no); background: var(--no-page) }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 16px; padding: 0; margin: 0 }
nav a { display: inline-block; padding: 4px 0 }
.tiles {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: 8px;
  margin: 0 0 12px;
}
.tiles div {
  background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 8px 12px
}
.tiles dt { color: var(--quiet); font-size: 0.82rem }
.tiles dd { margin: 0; font-size: 1.25rem; font-weight: 600; font-variant-numeric: tabular-nums }
.facts {
  display: grid; grid-template-columns: minmax(6.5rem, max-content) 1fr; gap: 4px 16px;
  margin: 0 0 12px
}
.facts dt { color: var(--quiet) }
.facts dd { margin: 0; min-width: 0 }
.grid {
  display: grid; gap: 24px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr))
}
.grid > figure {
  display: grid; grid-row: span 3; grid-template: subgrid / minmax(0, 1fr); row-gap: 0
}
.grid.small {
  gap: 16px 24px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 280px), 1fr));
}
.grid.small > figure { grid-row: span 2 }
figure { margin: 0; min-width: 0 }
figcaption { margin: 0 0 8px; line-height: 1.35 }
figcaption span { display: block; color: var(--quiet); font-size: 0.88rem }
svg { display: block; width: 100%; max-width: 460px; height: auto }
svg text { font-size: 11px; fill: var(--quiet); white-space: pre }
svg text.over { paint-order: stroke; stroke: var(--card); stroke-width: 3px }
svg text.strong { fill: var(--ink); font-weight: 600 }
svg text.notable { fill: var(--bad-ink); font-weight: 600 }
.now { fill: var(--now) } .then { fill: var(--then) } .bad { fill: var(--bad) }
line.grid { stroke: var(--grid) }
.axis { stroke: var(--quiet) }
.mark { stroke: var(--ink); stroke-width: 2 }
.course { stroke: var(--now); stroke-width: 1.6; stroke-linecap: round }
.ideal { stroke: var(--quiet); stroke-dasharray: 5 4 }
.whisker { stroke: var(--now); stroke-width: 1.5 }
details { margin: 8px 0 0 }
summary { cursor: pointer; color: var(--quiet); font-size: 0.88rem; padding: 4px 0 }
.scroll { overflow-x: auto }
.scroll:focus-visible, a:focus-visible, summary:focus-visible {
  outline: 2px solid var(--now); outline-offset: 2px
}
table {
  border-collapse: collapse; font-size: 0.88rem; font-variant-numeric: tabular-nums;
  min-width: min(100%, 320px)
}
caption, .heard {
  position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap
}
th, td {
  padding: 4px 10px 4px 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--rule)
}
thead th { color: var(--quiet); font-weight: 400; vertical-align: bottom }
table { overflow-wrap: normal }
tbody th { font-weight: 400; min-width: 7.5rem; overflow-wrap: anywhere }
.number { text-align: right; white-space: nowrap }
thead .number { white-space: normal }
.confusion td { padding-right: 6px; vertical-align: middle }
.confusion tbody th { min-width: 0; overflow-wrap: normal; vertical-align: middle }
.shade { display: block; padding: 4px 6px; border-radius: 4px; min-width: 2.6rem }
.examples { list-style: none; padding: 0; margin: 0 }
.examples li { border-left: 3px solid var(--rule); padding: 0 0 0 10px; margin: 0 0 12px }
.examples small { display: block; color: var(--quiet); font-size: 0.82rem }
pre, code { font: 0.82rem/1.45 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace }
pre {
  margin: 4px 0; padding: 6px 8px; background: var(--page); border-radius: 4px;
  white-space: pre-wrap; unicode-bidi: isolate;
}
code { white-space: nowrap }
bdi { unicode-bidi: isolate }
footer { color: var(--quiet); font-size: 0.82rem }
@media (max-width: 480px) {
  body { padding: 10px }
  section { padding: 12px 10px; margin: 10px 0 }
  .facts { grid-template-columns: 1fr; gap: 0 }
  .facts dd { margin: 0 0 6px }
}
@media print {
  :root { color-scheme: light; LIGHT --page: #ffffff }
  body {
    max-width: none; padding: 0; font-size: 10pt; print-color-adjust: exact;
    -webkit-print-color-adjust: exact
  }
  nav { display: none }
  section {
    border: 0; border-top: 1px solid var(--rule); border-radius: 0; padding: 8pt 0; margin: 0
  }
  figure, tr, .examples li, .tiles div { break-inside: avoid }
  h2, h3 { break-after: avoid }
  .scroll { overflow: visible }
  table { font-size: 7pt }
  th, td { padding: 2pt 4pt 2pt 0 }
  tbody th { min-width: 0 }
  .number { white-space: normal }
  details::details-content { content-visibility: visible; height: auto }
}
"""

STYLE = _RULES.replace("LIGHT", _LIGHT).replace("DARK", _DARK) + _SHADES


def policy() -> str:
    """A Content-Security-Policy that allows this style sheet and nothing else."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
