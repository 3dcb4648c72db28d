"""How our pages look: light and dark as the reader has it, readable from 900 px on."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #fff; --ink: #1b1f24; --quiet: #57606a; --edge: #d8dee4; --well: #f3f5f7;
  --all: #c3cad2; --live: #1a8f6a; --rejected: #d1571a; --duplicates: #2f74c0; --failed: #a3428f;
  --visual: #2f74c0; --text: #d99a1b; --threshold: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171a; --ink: #e4e8ec; --quiet: #98a2ad; --edge: #333a42; --well: #1e2328;
    --all: #4a535d; --live: #35b98d; --rejected: #ea7b42; --duplicates: #5a9be6; --failed: #cf77bd;
    --visual: #5a9be6; --text: #e2b04a; --threshold: #ff7a70;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem 2rem; max-width: 90rem; background: var(--page); color: var(--ink);
  font: 15px/1.45 system-ui, "Segoe UI", Roboto, "Noto Sans", "Noto Sans CJK SC", sans-serif;
}
h1 { margin: 0 0 .5rem; font-size: 1.7rem; }
h2 { margin: 2.5rem 0 .75rem; padding-top: .75rem; border-top: 2px solid var(--edge); font-size: 1.3rem; }
h3 { margin: 1.5rem 0 .4rem; font-size: 1.05rem; }
h4 { margin: .8rem 0 .4rem; font-size: .9rem; color: var(--quiet); font-weight: 600; }
h1, h3, figcaption, dd { overflow-wrap: anywhere; }
td { overflow-wrap: break-word; }
small, .note, .legend, figcaption, footer { color: var(--quiet); font-size: .85rem; }
.note { max-width: 60rem; }
.key:first-child { margin-left: 0; }
code, pre { font: .85em/1.4 ui-monospace, "DejaVu Sans Mono", monospace; }
pre { margin: .25rem 0 .75rem 1rem; white-space: pre-wrap; overflow-wrap: anywhere; }
a { color: var(--duplicates); }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin-top: 1rem; }
.tiles { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1rem 0 0; }
.tiles div {
  display: flex; flex-direction: column-reverse; padding: .5rem .9rem; border-radius: .5rem;
  background: var(--well);
}
.tiles dt { color: var(--quiet); font-size: .8rem; }
.tiles dd { margin: 0; font-size: 1.25rem; font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; min-width: 40%; margin: .5rem 0 1rem; font-size: .9rem; }
caption { padding: .25rem 0; text-align: left; color: var(--quiet); font-size: .85rem; }
th, td { padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--edge); }
th, td { text-align: left; vertical-align: top; }
th { font-weight: 600; white-space: nowrap; }
td.number, th.number { text-align: right; padding-left: .7rem; white-space: nowrap; }
td.number { font-variant-numeric: tabular-nums; }
td svg { display: block; width: 20rem; max-width: 26vw; height: 1.1rem; }
@media (max-width: 75rem) {
  td svg { width: 7rem; }
  th { white-space: normal; vertical-align: bottom; }
}
svg { background: var(--well); }
details summary { cursor: pointer; white-space: nowrap; }
td details { max-width: 26rem; color: var(--quiet); }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: 1rem; }
.groups { display: flex; flex-wrap: wrap; gap: 1rem; }
.group { display: flex; flex-wrap: wrap; gap: .6rem; padding: .6rem; border-radius: .5rem; }
.group { background: var(--well); }
.group .card { width: 11.5rem; }
figure { margin: 0; min-width: 0; }
.score h3 { margin: 0 0 .25rem; font-size: .95rem; }
.score svg { display: block; width: 100%; height: 5.25rem; }
.axis { display: flex; justify-content: space-between; color: var(--quiet); font-size: .75rem; }
.card { border: 1px solid var(--edge); border-top: 3px solid var(--all); border-radius: .4rem; }
.card { overflow: hidden; background: var(--page); }
.card img, .card .none { display: block; width: 100%; height: 9.5rem; background: var(--well); }
.card img { object-fit: contain; }
.card .none { height: auto; padding: .5rem; text-align: center; color: var(--quiet); font-size: .8rem; }
.card figcaption { padding: .4rem .6rem .5rem; }
.card figcaption > * { display: block; }
.card .says { color: var(--ink); font-weight: 600; }
.card.live { border-top-color: var(--live); }
.card.rejected { border-top-color: var(--rejected); }
.card.duplicates { border-top-color: var(--duplicates); }
.card.text { border-top-color: var(--text); }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(25rem, 1fr)); gap: 1rem; }
.pair { display: grid; grid-template-columns: 13rem 1fr; gap: 1rem; align-items: start; }
.pair dl { margin: 0; }
.pair dt { color: var(--quiet); font-size: .8rem; }
.pair dt.taken { color: var(--live); font-weight: 600; }
.pair dd { margin: 0 0 .75rem; }
.mark { color: var(--rejected); }
.key { display: inline-block; width: .8em; height: .8em; margin: 0 .35em 0 .8em; border-radius: 2px; }
rect.all { fill: var(--all); } rect.live { fill: var(--live); } rect.rejected { fill: var(--rejected); }
rect.duplicates { fill: var(--duplicates); } rect.failed { fill: var(--failed); }
rect.visual { fill: var(--visual); } rect.text { fill: var(--text); }
line.threshold { stroke: var(--threshold); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
.key.all { background: var(--all); } .key.live { background: var(--live); }
.key.rejected { background: var(--rejected); } .key.duplicates { background: var(--duplicates); }
.key.failed { background: var(--failed); } .key.visual { background: var(--visual); }
.key.text { background: var(--text); } .key.threshold { width: 2px; background: var(--threshold); }
"""
