"""Elements of HTML and SVG with all text escaped, and the page's own style and script."""

from __future__ import annotations

from html import escape

STYLE = """
:root {
  color-scheme: light dark;
  --back: #f4f6f8; --card: #ffffff; --ink: #17212b; --soft: #56636f; --line: #d6dce2; --wire: #8a97a4;
  --active: #0b7a5b; --activeback: #e3f4ee; --backup: #1f5fae; --backupback: #e6effa;
  --warn: #9a5b00; --warnback: #fdf1dc; --bad: #b3261e; --badback: #fcebe9; --idle: #6b7785; --idleback: #eceff2;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #10151b; --card: #182029; --ink: #e4e9ee; --soft: #9aa7b4; --line: #2b3641; --wire: #6f7d8b;
    --active: #3ecf9f; --activeback: #12312a; --backup: #7db4f5; --backupback: #16293f;
    --warn: #efb457; --warnback: #352a16; --bad: #ff8178; --badback: #3a1c1b; --idle: #93a0ad; --idleback: #222c36;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 10px; max-width: 1180px; background: var(--back); color: var(--ink);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
h1 { margin: 0; font-size: 20px; line-height: 1.2; font-weight: 650; }
h2 { margin: 0 0 10px; font-size: 12px; font-weight: 650; letter-spacing: .06em; text-transform: uppercase;
  color: var(--soft); }
header { display: flex; flex-wrap: wrap; gap: 4px 14px; align-items: baseline; margin: 2px 2px 12px; }
header p { margin: 0; color: var(--soft); font-size: 13px; }
.verdict { display: flex; gap: 10px; align-items: flex-start; padding: 11px 14px; border-radius: 10px;
  margin-bottom: 14px; font-weight: 600; border: 1px solid transparent; }
.verdict .sign { flex: none; width: 20px; height: 20px; border-radius: 50%; text-align: center; line-height: 20px;
  font-size: 13px; color: var(--card); }
.verdict small { display: block; font-weight: 400; font-size: 14px; color: var(--ink); }
.verdict.active { background: var(--activeback); color: var(--active); } .active .sign { background: var(--active); }
.verdict.warn { background: var(--warnback); color: var(--warn); } .warn .sign { background: var(--warn); }
.verdict.bad { background: var(--badback); color: var(--bad); } .bad .sign { background: var(--bad); }
.grid, .stack { display: grid; gap: 14px; grid-template-columns: minmax(0, 1fr); }
section { overflow-wrap: anywhere; background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 12px; min-width: 0; }
.picture { display: block; width: 100%; max-width: 560px; margin: 0 auto; height: auto; }
.picture text { font-size: 12.5px; fill: var(--ink); }
.picture .name { font-size: 17px; font-weight: 650; }
.picture .small { font-size: 11.5px; fill: var(--soft); }
.picture .boxname { font-size: 13px; font-weight: 600; }
.picture .strong { font-weight: 650; }
.picture .pilltext { font-size: 10px; font-weight: 700; letter-spacing: .04em; fill: var(--card); }
.card, .box { fill: var(--card); stroke: var(--line); stroke-width: 1.2; }
.card.active { stroke: var(--active); stroke-width: 2.2; fill: var(--activeback); }
.card.backup { stroke: var(--backup); stroke-width: 1.6; fill: var(--backupback); }
.card.bad { stroke: var(--bad); stroke-width: 1.8; fill: var(--badback); }
.card.warn { stroke: var(--warn); stroke-width: 1.8; fill: var(--warnback); }
.card.lost { stroke-dasharray: 6 4; }
.box.bad { stroke: var(--bad); }
.pill.active { fill: var(--active); } .pill.backup { fill: var(--backup); } .pill.bad { fill: var(--bad); }
.pill.warn { fill: var(--warn); } .pill.idle { fill: var(--idle); }
.picture text.strong.active { fill: var(--active); } .picture text.strong.backup { fill: var(--backup); }
.picture text.strong.warn { fill: var(--warn); } .picture text.strong.bad { fill: var(--bad); }
 .picture text.small.bad { fill: var(--bad); font-weight: 600; }
.picture text.small.warn { fill: var(--warn); font-weight: 600; }
.wire { stroke-width: 2; stroke: var(--wire); stroke-linecap: round; }
.wire.good { stroke: var(--wire); }
.wire.warn { stroke: var(--warn); stroke-dasharray: 5 5; }
.wire.bad { stroke: var(--bad); stroke-dasharray: 2 6; }
.head { fill: var(--wire); } .head.warn { fill: var(--warn); }
table { width: 100%; border-collapse: collapse; font-size: 14px; }
th, td { text-align: left; padding: 6px 8px 6px 0; border-top: 1px solid var(--line); vertical-align: top;
  font-weight: 400; }
thead th { border-top: 0; padding-top: 0; font-weight: 650; }
tbody th { color: var(--soft); white-space: nowrap; }
td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; width: 36%; }
td.bad { color: var(--bad); font-weight: 600; } td.gone { color: var(--soft); }
.problems { list-style: none; margin: 0; padding: 0; }
.problems li { padding: 9px 0; border-top: 1px solid var(--line); }
.problems li:first-child { border-top: 0; padding-top: 0; } .problems li:last-child { padding-bottom: 0; }
.problems b { display: block; font-weight: 600; } .problems .broken b { color: var(--bad); }
.problems .degraded b { color: var(--warn); } .problems span { color: var(--soft); font-size: 14px; }
.strip { display: block; width: 100%; height: 26px; border-radius: 6px; background: var(--idleback); }
.span.active { fill: var(--active); } .span.backup { fill: var(--backup); } .span.bad { fill: var(--bad); }
.span.idle { fill: var(--idle); }
.tick { stroke: var(--card); stroke-width: 1; opacity: .55; }
.hours { display: flex; justify-content: space-between; color: var(--soft); font-size: 12px; margin: 3px 0 10px; }
.keys { display: flex; flex-wrap: wrap; gap: 4px 14px; margin: 0 0 12px; color: var(--soft); font-size: 12px; }
.key { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin-right: 5px;
  background: var(--idle); }
.key.active { background: var(--active); } .key.backup { background: var(--backup); }
.key.bad { background: var(--bad); }
.key.none { background: var(--idleback); border: 1px solid var(--line); }
.events { list-style: none; margin: 0; padding: 0; }
.events li { display: grid; grid-template-columns: 86px 10px minmax(0, 1fr); gap: 8px; padding: 6px 0;
  border-top: 1px solid var(--line); font-size: 14px; align-items: baseline; }
.events time { color: var(--soft); font-variant-numeric: tabular-nums; white-space: nowrap; }
.events b { font-weight: 600; } .why { color: var(--soft); } .said .why { margin-left: 8px; }
.dot { width: 9px; height: 9px; border-radius: 50%; background: var(--idle); display: inline-block; }
.dot.active { background: var(--active); }
.dot.backup { background: var(--backup); }
.dot.bad { background: var(--bad); }
.dot.alarm { background: var(--bad); border-radius: 2px; } .dot.order { background: var(--warn); border-radius: 2px; }
.dot.cleared { background: var(--active); border-radius: 2px; }
.dot.quiet { background: var(--line); }
footer { color: var(--soft); font-size: 12px; margin: 12px 2px 4px; }
#gone { display: none; }
.stale #gone { display: flex; } .stale #all { opacity: .5; filter: grayscale(1); }
@media (min-width: 860px) {
  body { padding: 22px; }
  section { padding: 16px; }
  .grid { grid-template-columns: minmax(0, 1.05fr) minmax(0, 1fr); align-items: start; }
  .whole { grid-column: 1 / -1; }
}
"""

SCRIPT = """
(function () {
  "use strict";
  var heard = new Date(), gone = document.getElementById("said");
  function again() { window.setTimeout(look, document.hidden ? 10000 : 2000); }
  function silent() {
    document.body.classList.add("stale");
    gone.textContent = "The agent has not answered since " + heard.toLocaleTimeString() +
      "; what is below was true then.";
    again();
  }
  function look() {
    var stop = new AbortController(), timer = window.setTimeout(function () { stop.abort(); }, 5000);
    fetch(location.pathname, { cache: "no-store", signal: stop.signal }).then(function (answer) {
      if (!answer.ok) { throw new Error(); }
      return answer.text();
    }).then(function (text) {
      var fresh = new DOMParser().parseFromString(text, "text/html");
      document.getElementById("all").replaceWith(document.adoptNode(fresh.getElementById("all")));
      document.title = fresh.title;
      document.body.classList.remove("stale");
      heard = new Date();
      again();
    }).catch(silent).finally(function () { window.clearTimeout(timer); });
  }
  again();
})();
"""


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def element(name: str, *inside: str | None, **attributes: object) -> Markup:
    """Return an element; a None inside or as an attribute is left out, `class_` is class and `a_b` is a-b."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>{join(*inside)}</{name}>")


def join(*parts: str | None) -> Markup:
    """Return the parts after each other, those that are text escaped."""
    return Markup(
        "".join(part if isinstance(part, Markup) else escape(part, quote=False) for part in parts if part is not None)
    )
