// What lies below the chart: boundary, waterfall, overlap, corpora, changed clips, duplicates, failures, votes.

const TABS = {
  boundary: ["Boundary", drawBoundary],
  waterfall: ["Waterfall", drawWaterfall],
  overlap: ["Overlap", drawOverlap],
  corpora: ["Corpora", drawCorpora],
  changed: ["Changed clips", drawFlips],
  duplicates: ["Duplicates", drawPairs],
  failures: ["Failures", drawFailures],
  votes: ["Votes", drawVotes],
};

function drawTabs() {
  $("tabs").replaceChildren(...Object.entries(TABS).map(([key, [title]], n) =>
    h("button", { type: "button", role: "tab", title: String(n + 1), "aria-selected": String(S.tab === key), onclick: () => choose(key) }, title)));
}

function choose(tab) {
  S.tab = tab;
  few = FEW;
  writeAddress();
  drawTabs();
  drawPanel();
}

const drawPanel = () => (TABS[S.tab] || TABS.boundary)[1]($("panel"));

// Shows the answer unless people went on to another tab; what cannot be answered is said in its place.
function fromServer(place, path, body, show) {
  const tab = S.tab;
  latest("panel", () => ask(path, body), (found) => { if (S.tab === tab) show(found); }, (error) => {
    if (S.tab === tab && error.offline) put(place, nothing(error.message));
    else complain(error);
  });
}
const nothing = (text) => h("p", { class: "quiet" }, text);

function table(title, heads, rows, kind = "") {
  return h("div", { class: "scroll" }, h("table", { class: kind }, h("caption", {}, title),
    h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", {}, rows)));
}
const line = (cells, kind) => h("tr", { class: kind }, cells.map((cell) => (cell instanceof HTMLTableCellElement ? cell : h("td", {}, cell))));
function barCell(share, kind = "") {
  const bar = h("div", { class: kind });
  bar.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return h("td", { class: "bar" }, bar);
}

function drawBoundary(place) {
  if (!parameterOf(S.name)) return put(place, nothing("Choose a threshold on the left: the clips around it are shown here."));
  fromServer(place, "boundary", { name: S.name, n: few }, (found) => {
    const gone = found.otherwise === "recaption" ? "Just sent to be captioned" : "Just rejected", unknown = found.unknown;
    showCards(place, null, [
      { title: gone, note: "by this rule alone, nearest first", rows: found.rejected, kind: "rejected" },
      { title: "Just kept", note: "nearest first", rows: found.kept, kind: "stays" },
      { title: "Of unknown value", note: "", rows: unknown, kind: "" }]);
    place.querySelector(".sides + .group").hidden = !unknown.length;
  });
}

function drawWaterfall(place) {
  if (whatIf.near !== undefined) return put(place, nothing(OFFLINE));
  if (!whatIf.rules.length) return put(place, nothing("No rule rejects."));
  const all = whatIf.all, effect = whatIf.rules;
  let left = all.rows;
  const rows = [line(["all rows that are judged", "", "", "", "", "", count(left), barCell(1, "keep")])];
  for (const one of effect) {
    left -= one.here;
    rows.push(line([one.rule, count(one.alone), count(one.only), lasting(one.weights.seconds), short(one.weights.tokens), count(one.here), count(left), barCell(left / all.rows, "keep")]));
  }
  for (const one of whatIf.routed) rows.push(line([`${one.rule} (recaptions, rejects none)`, "", "", "", "", count(one.rows), count(left), barCell(left / all.rows, "keep")]));
  put(place, table("What each rule takes: were it the only one, what no other takes (leave-one-out), and at its place after those before it",
    ["rule", "alone", "only it", "their video", "their tokens", "here", "left", ""], rows));
}

function drawOverlap(place) {
  fromServer(place, "overlap", {}, (found) => {
    const rows = found.rules.map((rule, at) => line([rule, ...found.both[at].map((n, other) => {
      const share = n / (found.both[at][at] || 1), cell = h("td", { title: `${count(n)} rows fail ${rule} and ${found.rules[other]}: ${percent(share)} of what ${rule} takes` }, count(n));
      cell.style.background = n ? `color-mix(in srgb, var(--drop) ${Math.round(share * 55)}%, transparent)` : "";
      return cell;
    })]));
    put(place, table("Rows that fail two rules at once; the diagonal is what one takes alone. The darker, the larger the share of the row's rule", ["", ...found.rules], rows));
  });
}

function drawCorpora(place) {
  if (whatIf.near !== undefined) return put(place, nothing(OFFLINE));
  if (!whatIf.corpora.length) return put(place, nothing("There are no rows."));
  const rows = whatIf.corpora.map((one) => line([
    h("td", {}, h("span", { class: "data" }, plain(one.corpus)), one.far ? "  ⚠ loses far more than the rest" : null), count(one.rows), count(one.kept), percent(one.kept / one.rows),
    whatIf.corpora.length > 1 ? percent(one.rest) : "", one.hours.toFixed(3), barCell(one.kept / one.rows, "keep")], one.far ? "far" : null));
  put(place, table("Retention by corpus; marked where more than twice the share of the rest is lost",
    ["corpus", "rows", "kept", "share", "the rest keeps", "hours kept", ""], rows));
}

function drawFlips(place) {
  const other = Boolean(S.against && start.against), than = other ? start.against : "the recipe";
  fromServer(place, "flips", { n: few, against: other }, (found) => {
    const pick = start.against ? h("p", {}, h("label", {}, "against ", h("select", { id: "against", onchange: (event) => { S.against = event.target.value === "other"; writeAddress(); drawPanel(); } },
      h("option", { value: "own" }, "the recipe"), h("option", { value: "other", selected: other }, plain(start.against))))) : null;
    showCards(place, pick, [
      { title: `Lost: ${count(found.lost.rows)}`, note: `kept by ${than}, rejected now`, rows: found.lost.cards, kind: "rejected" },
      { title: `Gained: ${count(found.gained.rows)}`, note: `rejected by ${than}, kept now`, rows: found.gained.cards, kind: "stays" }]);
  });
}

function drawPairs(place) {
  fromServer(place, "pairs", {}, (levels) => {
    if (!levels.length) return put(place, nothing("No pair of neighbours is stored: the step dedup was not run, or found none."));
    put(place, ...levels.flatMap((level) => {
      const head = h("h3", {}, `${level.level}: ${count(level.pairs)} pairs, ${count(level.taken)} taken for duplicates`,
        level.cut === undefined ? "" : h("span", { class: "quiet" }, `  within ${level.cuts.map((one) => `${one.setting} = ${value(one.cut)}${one.unit === "cosine" ? "" : ` ${one.unit}`}`).join(", ")}`));
      if (level.cut === undefined) return [head];
      const pairs = (rows) => (rows.length ? rows.map(pairOf) : [nothing("no such pair")]);
      return [head, distances(level), h("div", { class: "sides" },
        h("div", {}, h("p", { class: "quiet" }, "within all of its cuts, nearest to one"), ...pairs(level.within)),
        h("div", {}, h("p", { class: "quiet" }, "beyond one of them, nearest to it"), ...pairs(level.beyond)))];
    }));
  });
}

// How many pairs are how far apart, and where the cut lies among them.
function distances(level) {
  const width = Math.min(560, Math.max(320, $("panel").clientWidth)), high = 110, floor = 88, edges = level.edges, most = Math.max(1, ...level.counts);
  const low = Math.min(edges[0], level.cut), top = Math.max(edges[edges.length - 1], level.cut), pad = 0.03 * (top - low || 1);
  const x = (v) => 34 + ((width - 48) * (v - low + pad)) / (top - low + 2 * pad), y = (n) => floor - 70 * (n / most);
  const picture = svg("svg", { class: "plot", viewBox: `0 0 ${width} ${high}`, width, height: high, role: "img", "aria-label": `Pairs by ${level.unit}, cut at ${value(level.cut)}` });
  const near = (edge) => (level.unit === "cosine" ? edge >= level.cut : edge <= level.cut);
  level.counts.forEach((n, at) => {
    const middle = (edges[at] + edges[at + 1]) / 2, title = svg("title");
    title.textContent = `${value(edges[at])} to ${value(edges[at + 1])} ${level.unit}: ${count(n)} pairs`;
    picture.append(svg("rect", { class: near(middle) ? "kept" : "all", x: x(edges[at]), width: Math.max(1, x(edges[at + 1]) - x(edges[at]) - 0.6), y: y(n), height: floor - y(n) }, title));
  });
  picture.append(svg("line", { class: "axis", x1: 34, x2: width - 14, y1: floor, y2: floor }), svg("line", { class: "cut", x1: x(level.cut), x2: x(level.cut), y1: 4, y2: floor }));
  for (const n of ticks(low, top > low ? top : low + 1e-3, 6)) word(picture, x(n), floor + 15, value(n), "middle");
  for (const n of wholeTicks(most)) word(picture, 28, y(n) + 4, short(n), "end");
  const left = x(level.cut) > width - 90;
  word(picture, x(level.cut) + (left ? -6 : 6), 13, `cut ${value(level.cut)}`, left ? "end" : "start");
  return h("div", {}, picture, h("p", { class: "legend" }, h("span", {}, h("i", { class: "i-kept" }), "within the cut"), h("span", {}, h("i", { class: "i-all" }), "beyond it"), h("span", {}, `pairs by ${level.unit === "cosine" ? "cosine of their embeddings" : `distance in ${level.unit}`}`)));
}

const BECAME = { duplicate: "duplicate", kept: "both stay", other: "a rule, a third clip or another level took one" };

function pairOf(pair) {
  const one = (row) => h("figure", {}, row.frames ? h("img", { src: frameOf(row.id, 0), alt: row.text || nameOf(row), loading: "lazy" }) : null,
    h("figcaption", { class: "uri quiet data" }, nameOf(row)));
  const facts = [["distance", pair.distance], ["colour", pair.colour_distance], ["mean colour", pair.mean_colour_distance], ["cosine", pair.cosine]].filter(([, n]) => there(n));
  return h("div", { class: "pair" }, one(pair.a), one(pair.b),
    h("div", { class: "facts" }, facts.map(([name, n]) => h("div", {}, `${name} ${value(n)}`)), h("div", {}, BECAME[pair.became])));
}

function drawFailures(place) {
  fromServer(place, "failures", {}, (groups) => {
    if (!groups.length) return put(place, nothing("No row failed."));
    put(place, table("Failed rows by reason, with the first few of each", ["step", "reason", "rows", "for example"], groups.map((group) =>
      line([group.step, group.reason, count(group.rows), h("td", {}, group.examples.map((one) => h("div", {}, h("code", { class: "data" }, [one.uri || one.id, one.detail].filter(there).map(plain).join(": ")))))])), "said"));
  });
}

function drawVotes(place) {
  const told = Object.values(votes), many = (word) => told.filter((one) => one === word).length;
  const head = h("p", {}, `${many("good")} good, ${many("bad")} bad, ${many("unsure")} unsure. `,
    h("span", { class: "quiet" }, DATA ? "An exported page shows votes and takes none." : start.target ? "Votes are kept in OUT/tune/votes.jsonl." : "This page may not write: votes last as long as it runs (start it with --save FILE)."));
  if (DATA) return put(place, head);
  if (!advice || advice.name !== S.name) return put(place, head, nothing("Vote good and bad on clips near a threshold: the share of good ones above each value, and a threshold for nine tenths, appear here."));
  const suggestion = advice.suggestion;
  const told2 = suggestion
    ? h("p", {}, `With ${advice.votes} votes, precision ${TARGET} at ${value(suggestion.value)} (95 %: ${value(suggestion.low)} to ${value(suggestion.high)}), recall ${suggestion.recall.value.toFixed(2)}. `,
      h("button", { type: "button", onclick: () => change(ruleOf(S.name), parameterOf(S.name).name, suggestion.value) }, "Take it"))
    : h("p", { class: "quiet" }, advice.reason);
  const open = Boolean(place.querySelector("details")?.open);
  const numbers = h("details", { open }, h("summary", { class: "quiet" }, "the numbers"),
    table("Of the voted clips that a threshold keeps, the share of good ones; 95 % by Wilson", ["threshold", "precision", "from", "to", "recall"],
      advice.curve.map((one) => line([value(one.value), one.precision.toFixed(3), one.low.toFixed(3), one.high.toFixed(3), one.recall.toFixed(3)]))));
  put(place, head, told2, advice.curve.length ? precisionChart(advice) : null, numbers);
}

// Precision with its band, and recall, over the threshold. What is kept changes at voted values only: steps.
function precisionChart(found) {
  const width = Math.max($("panel").clientWidth - 30, 320), high = 262, floor = 214, top = 22, parameter = parameterOf(S.name), up = parameter.handle.side === "max";
  const points = [...found.curve].sort((a, b) => a.value - b.value), now = movable(parameter) ? currentValue(ruleOf(S.name), parameter) : null, best = found.suggestion;
  const ends = [points[0].value, points[points.length - 1].value, ...(best ? [best.value, best.low, best.high] : [])].filter(Number.isFinite);
  const low = Math.min(...ends), most = Math.max(...ends), pad = 0.06 * (most - low) || Math.abs(low) * 0.01 || 1e-3;
  const x = (v) => 58 + ((width - 84) * (Math.min(Math.max(v, low - pad), most + pad) - low + pad)) / (most - low + 2 * pad), y = (share) => floor - (floor - top) * share;
  const spans = points.map((one, n) => (up ? [x(one.value), n + 1 < points.length ? x(points[n + 1].value) : width - 26] : [n ? x(points[n - 1].value) : 58, x(one.value)]));
  const steps = (key) => points.flatMap((one, n) => spans[n].map((at) => `${at},${y(one[key])}`));
  const picture = svg("svg", { id: "precision", class: "plot", viewBox: `0 0 ${width} ${high}`, width, height: high, role: "img", "aria-label": `Precision and recall of the votes over ${S.name}` });
  const stroke = (kind, from, to) => picture.append(svg("line", { class: kind, x1: from[0], y1: from[1], x2: to[0], y2: to[1] }));
  picture.append(svg("polygon", { class: "band", points: [...steps("low"), ...steps("high").reverse()].join(" ") }));
  stroke("axis", [58, floor], [width - 26, floor]);
  for (const share of [0, 0.25, 0.5, 0.75, 1]) { stroke("axis", [58, y(share)], [width - 26, y(share)]); word(picture, 50, y(share) + 4, `${100 * share} %`, "end"); }
  for (const n of ticks(low - pad, most + pad, width > 700 ? 10 : 6)) word(picture, x(n), floor + 17, value(n), "middle");
  stroke("target", [58, y(TARGET)], [width - 26, y(TARGET)]);
  picture.append(svg("polyline", { class: "recall", points: steps("recall").join(" ") }), svg("polyline", { class: "precision", points: steps("precision").join(" ") }));
  const seen = now !== null && now >= low - pad && now <= most + pad;
  if (seen) stroke("cut", [x(now), top], [x(now), floor]);
  if (best) {
    const over = x(best.value) > width - 190;
    stroke("advice", [x(best.value), 8], [x(best.value), floor]);
    picture.append(svg("circle", { class: "advice-point", cx: x(best.value), cy: y(points.reduce((a, b) => (Math.abs(b.value - best.value) < Math.abs(a.value - best.value) ? b : a)).precision), r: 4 }));
    word(picture, x(best.value) + (over ? -6 : 6), 14, `suggested ${SENSES[parameter.handle.sense]} ${value(best.value)}`, over ? "end" : "start");
  }
  word(picture, (58 + width - 26) / 2, high - 8, `threshold ${S.name}`, "middle");
  const title = svg("text", { transform: `translate(12 ${(top + floor) / 2}) rotate(-90)`, "text-anchor": "middle" });
  title.textContent = "share of voted clips";
  picture.append(title);
  const entry = (kind, text) => h("span", {}, h("i", { class: kind }), text);
  return h("div", { class: "curves" }, picture, h("div", { class: "legend" }, entry("i-precision", "precision: good ones among those kept"), entry("i-band", "its 95 % band"),
    entry("i-recall", "recall: those kept among the good ones"), entry("i-target", `target ${percent(TARGET)}`), best ? entry("i-advice", "suggested") : null, seen ? entry("i-cut", "threshold now") : now === null ? null : h("span", {}, `the threshold now, ${value(now)}, lies outside`)));
}
