"""The look of the report: one style sheet, light and dark, without anything from elsewhere."""

# The series are Okabe and Ito's palette, which colour-blind people can tell apart, lightened for dark backgrounds.
STYLE = """
:root { color-scheme: light dark; --paper: #fcfcfa; --card: #ffffff; --ink: #1d2125; --faint: #8b939b;
  --line: #dfe2e5; --accent: #0072b2;
  --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #b8860b; --c4: #cc79a7; --c5: #3a9bdc;
  --c6: #7a5c99; --c7: #5f5f5f; }
@media (prefers-color-scheme: dark) {
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
.note, figcaption, caption { color: var(--faint); font-size: .88rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; margin: .6rem 0 1rem; }
caption { text-align: left; padding: .2rem 0; }
th, td { padding: .28rem .7rem .28rem 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; }
th:first-child, td:first-child, .text th, .text td { text-align: left; }
.text td { white-space: normal; overflow-wrap: anywhere; }
tr.over td { color: var(--c1); font-weight: 600; }
details { border: 1px solid var(--line); border-radius: .6rem; background: var(--card);
  padding: .2rem 1rem; margin: .8rem 0; }
summary { cursor: pointer; font-weight: 600; padding: .5rem 0; }
.pair { display: flex; flex-wrap: wrap; gap: 0 3rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(17.5rem, 1fr)); gap: 1rem 1.6rem; }
figure { margin: 0; }
figure svg { width: 100%; height: auto; stroke-linejoin: round; stroke-linecap: butt;
  font-family: system-ui, sans-serif; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; list-style: none; font-size: .9rem; }
.legend svg { width: 2.4rem; height: .7rem; vertical-align: middle; margin-right: .4rem; }
code, pre { font: .85rem/1.5 ui-monospace, monospace; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--card); border: 1px solid var(--line);
  border-radius: .6rem; padding: .8rem 1rem; }
@media print { details { border: 0; } }
"""
