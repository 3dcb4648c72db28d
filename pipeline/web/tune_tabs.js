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
  writeAddress();
  drawTabs();
  drawPanel();
}

const drawPanel = () => (TABS[S.tab] || TABS.boundary)[1]($("panel"));
const put = (place, ...children) => place.replaceChildren(...children);
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
  latest("panel", () => ask("boundary", { name: S.name, n: 8 }), (found) => {
    if (S.tab !== "boundary") return;
    const gone = found.otherwise === "recaption" ? "Just sent to be captioned" : "Just rejected";
    put(place, sides(
      [gone, "by this rule alone, nearest first", found.rejected, "rejected"],
      ["Just kept", "nearest first", found.kept, "stays"]));
    if (found.unknown.length) place.append(h("h3", {}, "Of unknown value"), h("div", { class: "cards" }, found.unknown.map((row) => card(row, ""))));
  });
}

function drawWaterfall(place) {
  if (!whatIf.rules.length) return put(place, nothing("No rule rejects, or an exported page does not know."));
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
  latest("panel", () => ask("overlap"), (found) => {
    if (S.tab !== "overlap") return;
    const rows = found.rules.map((rule, at) => line([rule, ...found.both[at].map((n, other) => {
      const share = n / (found.both[at][at] || 1), cell = h("td", { title: `${count(n)} rows fail ${rule} and ${found.rules[other]}: ${percent(share)} of what ${rule} takes` }, count(n));
      cell.style.background = n ? `color-mix(in srgb, var(--drop) ${Math.round(share * 55)}%, transparent)` : "";
      return cell;
    })]));
    put(place, table("Rows that fail two rules at once; the diagonal is what one takes alone. The darker, the larger the share of the row's rule", ["", ...found.rules], rows));
  });
}

function drawCorpora(place) {
  if (!whatIf.corpora.length) return put(place, nothing("There are no rows, or an exported page does not know."));
  const rows = whatIf.corpora.map((one) => line([
    one.far ? `${one.corpus}  ⚠ loses far more than the rest` : one.corpus, count(one.rows), count(one.kept), percent(one.kept / one.rows),
    whatIf.corpora.length > 1 ? percent(one.rest) : "", one.hours.toFixed(3), barCell(one.kept / one.rows, "keep")], one.far ? "far" : null));
  put(place, table("Retention by corpus; marked where more than twice the share of the rest is lost",
    ["corpus", "rows", "kept", "share", "the rest keeps", "hours kept", ""], rows));
}

function drawFlips(place) {
  const other = Boolean(S.against && start.against), than = other ? start.against : "the recipe";
  latest("panel", () => ask("flips", { n: 8, against: other }), (found) => {
    if (S.tab !== "changed") return;
    const pick = start.against ? h("p", {}, h("label", {}, "against ", h("select", { id: "against", onchange: (event) => { S.against = event.target.value === "other"; writeAddress(); drawPanel(); } },
      h("option", { value: "own" }, "the recipe"), h("option", { value: "other", selected: other }, start.against)))) : "";
    put(place, pick, sides(
      [`Lost: ${count(found.lost.rows)}`, `kept by ${than}, rejected now`, found.lost.cards, "rejected"],
      [`Gained: ${count(found.gained.rows)}`, `rejected by ${than}, kept now`, found.gained.cards, "stays"]));
  });
}

function drawPairs(place) {
  latest("panel", () => ask("pairs"), (levels) => {
    if (S.tab !== "duplicates") return;
    if (!levels.length) return put(place, nothing("No pair of neighbours is stored: the step dedup was not run, or found none."));
    put(place, ...levels.flatMap((level) => {
      const head = h("h3", {}, `${level.level}: ${count(level.pairs)} pairs, ${count(level.taken)} taken for duplicates`,
        level.cut === undefined ? "" : h("span", { class: "quiet" }, `  cut at ${level.setting} = ${value(level.cut)} ${level.unit}`));
      if (level.cut === undefined) return [head];
      const pairs = (rows) => (rows.length ? rows.map(pairOf) : [nothing("no such pair")]);
      return [head, h("div", { class: "sides" },
        h("div", {}, h("p", { class: "quiet" }, "within the cut, nearest to it"), ...pairs(level.within)),
        h("div", {}, h("p", { class: "quiet" }, "beyond the cut, nearest to it"), ...pairs(level.beyond)))];
    }));
  });
}

const BECAME = { duplicate: "duplicate", kept: "both stay", other: "a rule or a third clip took one" };

function pairOf(pair) {
  const one = (row) => h("figure", {}, row.frames ? h("img", { src: frameOf(row.id, 0), alt: row.text || row.id, loading: "lazy" }) : null,
    h("figcaption", { class: "uri quiet" }, row.source_uri || row.id));
  const facts = [["distance", pair.distance], ["colour", pair.colour_distance], ["cosine", pair.cosine]].filter(([, n]) => n !== null);
  return h("div", { class: "pair" }, one(pair.a), one(pair.b),
    h("div", { class: "facts" }, facts.map(([name, n]) => h("div", {}, `${name} ${value(n)}`)), h("div", {}, BECAME[pair.became])));
}

function drawFailures(place) {
  latest("panel", () => ask("failures"), (groups) => {
    if (S.tab !== "failures") return;
    if (!groups.length) return put(place, nothing("No row failed."));
    put(place, table("Failed rows by reason, with the first few of each", ["step", "reason", "rows", "for example"], groups.map((group) =>
      line([group.step, group.reason, count(group.rows), h("td", {}, group.examples.map((one) => h("div", {}, h("code", {}, `${one.uri || one.id}: ${one.detail || ""}`))))])), "said"));
  });
}

function drawVotes(place) {
  const told = Object.values(votes), many = (word) => told.filter((one) => one === word).length;
  const head = h("p", {}, `${many("good")} good, ${many("bad")} bad, ${many("unsure")} unsure. `,
    h("span", { class: "quiet" }, start.target ? "Votes are kept in OUT/tune/votes.jsonl." : "This page may not write: votes last as long as it runs (start it with --save FILE)."));
  if (!advice || advice.name !== S.name) return put(place, head, nothing("Vote good and bad on clips near a threshold: the share of good ones above each value, and a threshold for nine tenths, appear here."));
  const suggestion = advice.suggestion;
  const told2 = suggestion
    ? h("p", {}, `With ${advice.votes} votes, precision 0.9 at ${value(suggestion.value)} (95 %: ${value(suggestion.low)} to ${value(suggestion.high)}), recall ${suggestion.recall.value.toFixed(2)}. `,
      h("button", { type: "button", onclick: () => change(ruleOf(S.name), parameterOf(S.name).name, +suggestion.value.toPrecision(6)) }, "Take it"))
    : h("p", { class: "quiet" }, advice.reason);
  put(place, head, told2, table("Of the voted clips that a threshold keeps, the share of good ones; 95 % by Wilson", ["threshold", "precision", "from", "to", "recall"],
    advice.curve.map((one) => line([value(one.value), one.precision.toFixed(3), one.low.toFixed(3), one.high.toFixed(3), one.recall.toFixed(3)]))));
}
