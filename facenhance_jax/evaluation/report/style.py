"""The page's style: dark and light as the reader's system has it, and readable from 320 pixels up."""

CSS = """
:root { color-scheme: light dark;
  --paper: #fbfaf8; --card: #fff; --ink: #1d1f23; --soft: #5b616b; --rule: #dedbd5; --link: #1f5c99;
  --way-0: #2368a8; --way-1: #b0812a; --way-2: #858b95; --way-3: #3f8f6d; --way-4: #a2527a; --way-5: #6a5bb0; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #16181b; --card: #1d2024; --ink: #e6e4df; --soft: #a2a8b1; --rule: #353a41; --link: #86b9ee;
  --way-0: #6cabf0; --way-1: #d6a750; --way-2: #8d949e; --way-3: #67bd98; --way-4: #d583ac; --way-5: #a699ea; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink);
  overflow-wrap: anywhere; font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
body > * { max-width: 76rem; margin-inline: auto; padding-inline: clamp(1rem, 4vw, 2.5rem); }
header { padding-block: 2.5rem 0; }
h1 { margin: 0 0 .5rem; font-size: clamp(1.6rem, 4.5vw, 2.3rem); line-height: 1.15; letter-spacing: -.02em; }
h2 { margin: 0 0 .35rem; font-size: 1.35rem; letter-spacing: -.01em; }
h3 { margin: 0; font-size: 1rem; line-height: 1.35; }
p { margin: 0 0 .75rem; max-width: 44rem; }
a { color: var(--link); }
a:focus-visible, summary:focus-visible, .scroll:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
.soft { color: var(--soft); }
.note { padding: .6rem .9rem; border-left: 3px solid var(--way-1); background: var(--card); }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; margin: 0; padding: .6rem 0; list-style: none;
  border-block: 1px solid var(--rule); }
section { padding-block: 2.2rem .6rem; scroll-margin-top: 1rem; }
figure { margin: 0; }
img { display: block; max-width: 100%; height: auto; }
footer { padding-block: 2rem 3rem; color: var(--soft); font-size: .875rem; }

.clip { display: grid; grid-template-columns: 8.5rem minmax(0, 1fr); gap: 1.1rem; margin-block: 1.1rem;
  padding-bottom: 1.3rem; border-bottom: 1px solid var(--rule); }
.clip:last-child { border-bottom: 0; padding-bottom: 0; }
.clip figcaption > img { width: 100%; margin-bottom: .6rem; border-radius: 3px; }
.clip h3::first-letter, .moment h3::first-letter { text-transform: uppercase; }
.facts { display: grid; grid-template-columns: auto 1fr; gap: 0 .7rem; margin: .3rem 0 0; font-size: .8125rem; }
.facts dt { color: var(--soft); } .facts dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; }
.strip { display: flex; max-width: calc(1.4rem + var(--all) * 12rem); }
.half { display: flex; flex: var(--shown) 1 0; min-width: 0; }
.half + .half .rows { display: none; }
.half img { flex: 1 1 0; min-width: 0; align-self: start; }
.half:first-child { flex-basis: 1.4rem; }
.rows { flex: none; display: grid; grid-auto-rows: 1fr; width: 1.4rem; margin: 0; padding: 0; list-style: none;
  font-size: .75rem; line-height: 1.1; color: var(--soft); }
.rows li { display: grid; place-items: center; writing-mode: vertical-rl; transform: rotate(180deg); }
.scale { max-width: none; display: flex; align-items: center; gap: .6rem; flex-wrap: wrap; font-size: .875rem; }
.scale img { width: 12rem; height: .8rem; border-radius: 2px; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); gap: 1.6rem 2rem;
  margin-block: 1.1rem 1.6rem; }
.moment ol { display: grid; grid-template-columns: repeat(4, 1fr); margin: .2rem 0 .5rem; padding: 0; list-style: none;
  text-align: center; font-size: .75rem; color: var(--soft); }
.moment > img { width: 100%; }
.moment ul { margin: .1rem 0 0; padding: 0; list-style: none; font-size: .875rem; }

.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr)); gap: 1.6rem 2.2rem;
  margin-block: 1rem 1.2rem; align-items: start; }
.charts figure { max-width: 30rem; }
.charts figcaption { margin-bottom: .5rem; }
.charts .soft { display: block; min-height: 1.5em; font-size: .8125rem; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; margin: .6rem 0 0; padding: 0; list-style: none;
  font-size: .875rem; }
.legend svg { display: inline-block; width: .8rem; height: .8rem; margin-right: .4rem; vertical-align: -.05rem; }
svg { display: block; width: 100%; height: auto; font: 12px system-ui, sans-serif; }
svg text { fill: var(--ink); dominant-baseline: central; font-variant-numeric: tabular-nums; }
svg .small { fill: var(--soft); font-size: 10.5px; }
svg .axis, svg .grid { stroke: var(--rule); fill: none; } svg .axis { stroke: var(--soft); }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.way-0 { fill: var(--way-0); stroke: none; } .line.way-0 { stroke: var(--way-0); }
.way-1 { fill: var(--way-1); stroke: none; } .line.way-1 { stroke: var(--way-1); }
.way-2 { fill: var(--way-2); stroke: none; } .line.way-2 { stroke: var(--way-2); }
.way-3 { fill: var(--way-3); stroke: none; } .line.way-3 { stroke: var(--way-3); }
.way-4 { fill: var(--way-4); stroke: none; } .line.way-4 { stroke: var(--way-4); }
.way-5 { fill: var(--way-5); stroke: none; } .line.way-5 { stroke: var(--way-5); }

.scroll { position: relative; overflow-x: auto; margin-block: .8rem 1.2rem; border: 1px solid var(--rule);
  border-radius: 6px; background: var(--card); }
table { border-collapse: collapse; width: 100%; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption { padding: .7rem .8rem; text-align: left; color: var(--soft); }
th, td { padding: .4rem .8rem; text-align: right; vertical-align: top; border-top: 1px solid var(--rule);
  white-space: nowrap; }
thead th { border-top: 0; font-weight: 600; } caption ~ thead th { border-top: 1px solid var(--rule); }
th:first-child { position: sticky; left: 0; min-width: 9.5rem; background: var(--card); text-align: left;
  white-space: normal; }
tbody th { font-weight: 500; }
td small { display: block; color: var(--soft); }
.plain td { text-align: left; white-space: normal; min-width: 12rem; }
.plain th { font-weight: 500; color: var(--soft); }
summary { cursor: pointer; color: var(--link); }
.meanings { display: grid; grid-template-columns: auto 1fr; gap: .1rem 1rem; font-size: .875rem; }
.meanings dt { font-weight: 600; } .meanings dd { margin: 0; color: var(--soft); }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (max-width: 46rem) {
  .clip { grid-template-columns: minmax(0, 1fr); gap: .7rem; }
  .clip figcaption { display: grid; grid-template-columns: 5.5rem 1fr; gap: 0 .9rem; align-items: start; }
  .clip figcaption > img { grid-row: 1 / 4; margin: 0; }
  .strip { display: block; }
  .half + .half { margin-top: .5rem; width: calc(1.4rem + (100% - 1.4rem) * var(--part)); }
  .half + .half .rows { display: grid; }
  .meanings { grid-template-columns: 1fr; } .meanings dd { margin-bottom: .4rem; }
  th, td { padding-inline: .6rem; } th:first-child { max-width: 10rem; }
}
@media print { body { background: #fff; } .clip, .moment, .charts figure { break-inside: avoid; } }
"""
