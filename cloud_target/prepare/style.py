"""The look of the report: one style sheet, light and dark, without anything from elsewhere."""

# The series are Okabe and Ito's palette, which colour-blind people can tell apart, lightened for dark backgrounds.
STYLE = """
:root { color-scheme: light dark; --paper: #fcfcfa; --card: #ffffff; --ink: #1d2125; --faint: #8b939b;
  --line: #dfe2e5; --accent: #0072b2;
  --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #b8860b; --c4: #cc79a7; --c5: #3a9bdc;
  --c6: #7a5c99; --c7: #5f5f5f; }
@media screen and (prefers-color-scheme: dark) {
  :root { --paper: #15181b; --card: #1d2125; --ink: #e6e8ea; --faint: #8f979f; --line: #343a40; --accent: #6cb8ea;
    --c0: #56b4f9; --c1: #ff8c42; --c2: #2fd0a0; --c3: #f0d040; --c4: #e79bc4; --c5: #a8d8ff; --c6: #b99bdb;
    --c7: #b5b5b5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1rem; font-weight: 600; color: var(--faint); margin: 0; }
h2 { font-size: 1.3rem; margin: 2.8rem 0 .6rem; }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
.headline { font-size: 1.75rem; line-height: 1.3; font-weight: 600; margin: .4rem 0 .6rem; max-width: 32em; }
p { max-width: 46em; margin: .5rem 0; }
.note, .caption, figcaption { color: var(--faint); font-size: .88rem; }
.caption { margin: .6rem 0 0; }
/* A shade at the right says that there is more; it lies under a cover that scrolls with the end of the table. */
.wide { --under: var(--paper); overflow-x: auto; margin: 0 0 1rem;
  background: linear-gradient(var(--under), var(--under)) right / 1.2rem 100% no-repeat local,
    linear-gradient(to left, rgb(128 128 128 / .45), transparent) right / 1.2rem 100% no-repeat scroll; }
details .wide { --under: var(--card); }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; margin: .2rem 0; }
th, td { padding: .28rem .7rem .28rem 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; }
th:first-child, td:first-child, .text th, .text td { text-align: left; }
.text td { white-space: normal; overflow-wrap: break-word; }
.text td:last-child { overflow-wrap: anywhere; }
tr.over td { color: var(--c1); font-weight: 600; }
details { border: 1px solid var(--line); border-radius: .6rem; background: var(--card);
  padding: .2rem 1rem; margin: .8rem 0; }
summary { cursor: pointer; font-weight: 600; padding: .5rem 0; }
.steered td:nth-child(-n + 3) { font-weight: 600; }
.steered th, .steered td { padding-right: .45rem; }
.steered th:nth-child(even), .steered td:nth-child(even) { padding-left: .5rem; }
.groups th { border: 0; padding-bottom: 0; color: var(--faint); font-weight: 400; }
.pair { display: flex; flex-wrap: wrap; gap: 0 2.5rem; }
.pair > div { max-width: 100%; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(17.5rem, 1fr)); gap: 1rem 1.6rem; }
figure { margin: 0; }
figure svg { width: 100%; height: auto; stroke-linejoin: round; stroke-linecap: butt;
  font-family: system-ui, sans-serif; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; list-style: none; font-size: .9rem; }
.legend svg { width: 2.4rem; height: .7rem; vertical-align: middle; margin-right: .4rem; }
code, pre { font: .85rem/1.5 ui-monospace, monospace; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--card); border: 1px solid var(--line);
  border-radius: .6rem; padding: .8rem 1rem; }
@media screen and (max-width: 40rem) {
  body { padding: 1rem .8rem 3rem; }
  .headline { font-size: 1.4rem; }
  details { padding: .2rem .7rem; }
  .pair { display: block; }
  table { font-size: .8rem; }
  th { white-space: normal; vertical-align: bottom; }
  .steered { width: 100%; }
  .steered th, .steered td { white-space: normal; padding-right: .2rem; }
  .steered th:nth-child(even), .steered td:nth-child(even) { padding-left: 0; } }
@media print {
  :root { color-scheme: light; --paper: #fff; }
  @page { margin: 14mm; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  .headline { font-size: 15pt; }
  h2, h3, summary, .caption { break-after: avoid; }
  figure, tr, pre { break-inside: avoid; }
  details { border: 0; padding: 0; }
  details::details-content { content-visibility: visible; block-size: auto; }
  .wide { overflow: visible; background: none; }
  .pair { flex-wrap: nowrap; gap: 1.2rem; }
  .pair > div { flex: 1; }
  .charts { grid-template-columns: repeat(2, 1fr); }
  table { font-size: 7pt; }
  th, .text td { white-space: normal; }
  th, td { padding-right: .5em; } }
"""
