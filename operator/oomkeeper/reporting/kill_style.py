"""The look of the HTML page: light or dark as the reader has set, fit for paper, no font loaded."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fbfaf8; --card: #ffffff; --ink: #1c1b19; --soft: #66625b; --line: #e2dfd8; --track: #eceae4;
  --plain: #3f6f9f; --hot: #c0392b; --note: #8a5a00; --notebg: #fff6df;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #16171a; --card: #1f2125; --ink: #e8e6e1; --soft: #a19d95; --line: #34373d; --track: #2e3137;
    --plain: #7fb0e0; --hot: #ff7b6b; --note: #f0c05a; --notebg: #2b2618;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
main { max-width: 960px; margin: 0 auto; padding: 24px 16px 64px; }
article, section.overview {
  background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 20px 26px 22px; margin: 0 0 24px;
}
article { border-top: 4px solid var(--hot); }
header .kind { color: var(--hot); font-weight: 700; }
header .when, .caption, footer, summary { color: var(--soft); }
h1 { font-size: 1.35rem; line-height: 1.35; margin: 6px 0 10px; overflow-wrap: anywhere; }
h2 { font-size: .95rem; margin: 24px 0 8px; }
.badge {
  display: inline-block; border: 1px solid var(--line); border-radius: 99px;
  padding: 1px 10px; margin: 0 6px 4px 0; font-size: .85rem; color: var(--soft);
}
.badge.cause { color: var(--hot); border-color: var(--hot); }
p { margin: 6px 0; }
.caption, footer { font-size: .85rem; }
table { border-collapse: collapse; font-size: .92rem; }
th { text-align: left; font-weight: 600; color: var(--soft); }
th, td {
  padding: 4px 18px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere;
}
table.rows { max-width: 100%; }
table.rows td { min-width: 2.5rem; }
table.rows th, table.details th { white-space: nowrap; }
tr:last-child > * { border-bottom: 0; }
thead tr > * { border-bottom: 1px solid var(--line); }
table.details td {
  white-space: normal; overflow-wrap: anywhere; font-size: .85rem;
  font-family: ui-monospace, "SFMono-Regular", Menlo, Consolas, monospace;
}
.bar {
  display: grid; grid-template-columns: 13rem 15rem minmax(0, 1fr); gap: 0 14px; align-items: center;
  font-size: .9rem; padding: 2px 0;
}
.bar .label, .bar .value { overflow-wrap: anywhere; }
.drawn { display: block; width: 100%; height: 16px; }
.drawn .track { fill: var(--track); }
.drawn .fill.plain { fill: var(--plain); }
.drawn .fill.hot { fill: var(--hot); }
.bar .note { color: var(--soft); margin-left: 6px; }
.bar .note.hot { color: var(--hot); font-weight: 600; }
ol { padding-left: 22px; margin: 6px 0; }
li { margin: 4px 0; overflow-wrap: anywhere; }
.doubt { background: var(--notebg); border-left: 3px solid var(--note); padding: 6px 14px; }
.doubt ul { margin: 0; padding-left: 18px; }
details { margin-top: 18px; }
summary { cursor: pointer; }
@media (max-width: 720px) {
  main { padding: 12px 8px 48px; }
  article, section.overview { padding: 14px 14px 16px; }
  .bar { grid-template-columns: minmax(0, 1fr); padding: 5px 0; }
  .nobar { display: none; }
  table.rows, table.rows tbody, table.rows tr, table.rows td { display: block; }
  table.rows thead { display: none; }
  table.rows tr { border-bottom: 1px solid var(--line); padding: 6px 0; }
  table.rows td { border: 0; padding: 1px 0 1px 8.5rem; position: relative; }
  table.rows td::before { content: attr(data-column); position: absolute; left: 0; color: var(--soft); }
  table.details, table.details tbody, table.details tr, table.details th, table.details td { display: block; }
  table.details th { border: 0; padding-bottom: 0; }
}
@media print { body { background: #fff; } article { break-inside: avoid; } }
"""
