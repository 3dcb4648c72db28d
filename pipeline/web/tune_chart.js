// The histogram of what a threshold bounds, with the threshold to be dragged.

const MARGIN = { left: 46, right: 46, bottom: 30 };
const HEIGHT = 284, ROW = 15, FLOOR = HEIGHT - MARGIN.bottom;

const SENSES = { ">=": "≥", ">": ">", "<=": "≤", "<": "<" };
const COMPARED = { ">=": (a, b) => a >= b, ">": (a, b) => a > b, "<=": (a, b) => a <= b, "<": (a, b) => a < b };

// A threshold of a share stands on no axis of values: it is moved by its slider and box.
const movable = (p) => Boolean(p) && !shareKey(p);

// How values stand on the page as the chart was last drawn, and whether its threshold is held just now.
let axis = null, dragging = false;

function drawChart() {
  const place = $("chart"), held = document.activeElement?.id === "grip";
  put(place);
  if (!histogram) return;
  const parameter = parameterOf(S.name);
  if (!histogram.quantiles.length) return put(place, h("p", { class: "unknown" }, "no known values"), legend(parameter));
  const width = Math.max(place.clientWidth - 28, 320), marks = marksOf(parameter);
  axis = axisOf(histogram.edges, width, marks.filter((mark) => mark.stretches).map((mark) => mark.value));
  const top = ROW * Math.max(2, stagger(marks, axis, width)) + 8, most = Math.max(1, ...histogram.all);
  const y = (n) => FLOOR - (FLOOR - top) * (S.counts === "root" ? Math.sqrt(n / most) : n / most);
  const picture = svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": `Distribution of ${S.name}` });
  drawBars(picture, y, parameter);
  drawAxes(picture, y, most, width);
  if (movable(parameter)) drawCurve(picture, top, width, parameter);
  drawMarks(picture, marks, top, parameter);
  put(place, picture, legend(parameter));
  if (held) $("grip")?.focus();
}

// The values to be marked: the threshold, the recipe's, those of corpora by number, the one that votes suggest.
function marksOf(parameter) {
  const marks = [], cut = movable(parameter) ? currentValue(ruleOf(S.name), parameter) : null;
  if (cut !== null) {
    marks.push({ kind: "cut", value: cut, text: `keep ${SENSES[parameter.handle.sense]} ${value(cut)}`, stretches: true });
    const recipes = savedValue(parameter);
    if (cut !== recipes) marks.push({ kind: "ghost", value: recipes, text: `recipe ${value(recipes)}`, stretches: true });
  }
  Object.values(histogram.corpora).forEach((at, n) => marks.push({ kind: "ghost", value: at, text: String(n + 1) }));
  if (advice?.name === S.name && advice.suggestion) marks.push({ kind: "advice", value: advice.suggestion.value, text: `votes: ${value(advice.suggestion.value)}` });
  return marks;
}

// Where marks stand and in which row above the bars each is named, so that no name covers another.
function stagger(marks, x, width) {
  const rows = [];
  for (const mark of marks) {
    const out = x.out(mark.value), wide = 6.6 * mark.text.length + 20;
    mark.at = x(mark.value);
    mark.over = mark.at + wide > width;
    mark.text = out < 0 ? `◂ ${mark.text}` : out > 0 ? `${mark.text} ▸` : mark.text;
    const from = mark.over ? mark.at - wide : mark.at - 9, to = from + wide + 9;
    mark.row = rows.findIndex((row) => row.every((other) => other.to < from || other.from > to));
    if (mark.row < 0) mark.row = rows.push([]) - 1;
    rows[mark.row].push({ from, to });
  }
  return rows.length;
}

// What becomes of a row of this value, as far as its rule is asked: where corpora differ it may be either.
function fateOf(parameter) {
  if (!parameter) return () => "kept";
  const cuts = movable(parameter) ? [currentValue(ruleOf(S.name), parameter)] : Object.values(histogram.corpora);
  return (v) => {
    const stays = cuts.filter((cut) => COMPARED[parameter.handle.sense](v, cut)).length;
    return cuts.length && stays === cuts.length ? "kept" : cuts.length && !stays ? "dropped" : "mixed";
  };
}

function drawBars(picture, y, parameter) {
  const edges = histogram.edges, fate = fateOf(parameter), cut = movable(parameter) ? currentValue(ruleOf(S.name), parameter) : null;
  edges.slice(0, -1).forEach((edge, n) => {
    const left = axis(edge), wide = Math.max(0.5, axis(edges[n + 1]) - left - 0.6), right = left + wide, others = histogram.others[n];
    const bar = (kind, many, from, to) => svg("rect", { class: kind, x: from, width: Math.max(0, to - from), y: y(many), height: FLOOR - y(many) });
    const title = svg("title"), low = fate(edge), high = fate(edges[n + 1]);
    title.textContent = `${value(edge)} to ${value(edges[n + 1])}: ${count(histogram.all[n])} rows, ${count(histogram.others[n])} kept by the other rules`;
    // A threshold within a bin parts it: which of its rows lie on which side no bin tells.
    const parted = cut === null ? right : Math.min(Math.max(axis(cut), left), right);
    const bars = cut !== null && cut > edge && cut < edges[n + 1] ? [bar(low, others, left, parted), bar(high, others, parted, right)] : [bar(low === high || cut !== null ? low : "mixed", others, left, right)];
    picture.append(svg("g", {}, title, bar("all", histogram.all[n], left, right), ...bars));
  });
}

// On what holds the picture: the picture itself is drawn anew with each move.
function listenToDrags() {
  const place = $("chart");
  const move = (event) => {
    const parameter = parameterOf(S.name), box = place.querySelector("svg")?.getBoundingClientRect();
    if (!movable(parameter) || !box) return;
    const to = axis.invert(((event.clientX - box.left) * axis.width) / box.width);
    change(ruleOf(S.name), parameter.name, rounded(to, histogram.edges, parameter));
  };
  place.addEventListener("pointerdown", (event) => {
    if (!event.target.closest("svg") || !movable(parameterOf(S.name))) return;
    dragging = true;
    place.setPointerCapture(event.pointerId);
    place.onpointermove = move;
    move(event);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    place.addEventListener(end, () => {
      place.onpointermove = null;
      if (dragging) { dragging = false; drawChart(); }
    });
  }
}

// The axis reaches as far as its values do, and to a threshold that is no further from them than they are wide.
function reach(edges, thresholds) {
  if (dragging && axis) return [axis.low, axis.high];
  const first = edges[0], last = edges[edges.length - 1], wide = last - first;
  const near = S.scale === "linear" ? thresholds.filter((v) => v >= first - wide && v <= last + wide) : [];
  const low = Math.min(first, ...near), high = Math.max(last, ...near);
  return [low < first ? low - 0.03 * wide : low, high > last ? high + 0.03 * wide : high];
}

function axisOf(edges, width, thresholds) {
  const inner = width - MARGIN.left - MARGIN.right, last = edges.length - 1, [low, high] = reach(edges, thresholds);
  const told = { low, high, width, out: (v) => (v < low ? -1 : v > high ? 1 : 0) };
  if (S.scale === "linear") {
    const at = (v) => MARGIN.left + (inner * (Math.min(Math.max(v, low), high) - low)) / (high - low || 1);
    const invert = (px) => Math.min(Math.max(low + ((px - MARGIN.left) / inner) * (high - low), low), high);
    return Object.assign(at, told, { invert });
  }
  // Bins of equal width on the page, whatever values they hold; within a bin evenly.
  const at = (v) => {
    if (v <= edges[0]) return MARGIN.left;
    const n = edges.findIndex((edge) => edge >= v);
    if (n < 0) return MARGIN.left + inner;
    return MARGIN.left + (inner * (n - 1 + (v - edges[n - 1]) / (edges[n] - edges[n - 1] || 1))) / last;
  };
  const invert = (px) => {
    const place = Math.min(Math.max(((px - MARGIN.left) / inner) * last, 0), last), n = Math.min(Math.floor(place), last - 1);
    return edges[n] + (place - n) * (edges[n + 1] - edges[n]);
  };
  return Object.assign(at, told, { invert });
}

// Round numbers between two, about as many as asked for.
function ticks(low, high, about) {
  const unit = 10 ** Math.floor(Math.log10((high - low) / about)), step = [1, 2, 5, 10].map((n) => n * unit).find((one) => one * about >= 0.999 * (high - low));
  const made = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + 1e-9 * step; n += 1) made.push(+(n * step).toPrecision(12));
  return made;
}
const wholeTicks = (most) => (most < 3 ? [1, 2].filter((n) => n <= most) : ticks(0, most, 3).filter((n) => n && Number.isInteger(n)));

function drawAxes(picture, y, most, width) {
  const edges = histogram.edges, steps = Math.min(8, edges.length - 1);
  picture.append(svg("line", { class: "axis", x1: MARGIN.left, x2: width - MARGIN.right, y1: FLOOR, y2: FLOOR }));
  const marks = S.scale === "linear" ? ticks(axis.low, axis.high, width > 700 ? 10 : 6).map((n) => [n, value(n)])
    : Array.from({ length: steps + 1 }, (_, n) => edges[Math.round((n * (edges.length - 1)) / steps)]).map((edge) => [edge, String(+edge.toPrecision(3))]);
  for (const [at, text] of marks) word(picture, axis(at), FLOOR + 17, text, "middle");
  for (const n of wholeTicks(most)) word(picture, MARGIN.left - 10, y(n) + 4, short(n), "end");
}

// What share of the rows that the other rules keep a threshold at this place would keep.
function drawCurve(picture, top, width, parameter) {
  const total = histogram.others.reduce((a, b) => a + b, 0) || 1, up = parameter.handle.side === "max";
  let run = 0;
  const shares = [0, ...histogram.others.map((n) => (run += n))].map((n) => (up ? n : run - n) / total);
  const at = (share) => top + (FLOOR - top) * (1 - share), points = histogram.edges.map((edge, n) => [axis(edge), at(shares[n])]);
  const ends = [[axis(axis.low), points[0][1]], ...points, [axis(axis.high), points[points.length - 1][1]]];
  picture.append(svg("polyline", { class: "curve", points: ends.map((point) => point.join(",")).join(" ") }));
  for (const share of [0, 0.5, 1]) word(picture, width - MARGIN.right + 10, at(share) + 4, `${100 * share} %`, "start");
}

function drawMarks(picture, marks, top, parameter) {
  const found = advice?.name === S.name ? advice.suggestion : null, under = (mark) => top - 5 - ROW * mark.row;
  if (found) picture.append(svg("rect", { class: "advice-band", x: axis(found.low), width: Math.max(1, axis(found.high) - axis(found.low)), y: top, height: FLOOR - top }));
  for (const mark of [...marks].reverse()) {
    const rule = svg("line", { class: mark.kind, x1: mark.at, x2: mark.at, y1: under(mark), y2: FLOOR });
    picture.append(mark.kind === "cut" ? grip(rule, mark, top, parameter) : rule);
  }
  for (const mark of marks) {
    const wide = 6.2 * mark.text.length, beside = mark.kind === "cut" ? 11 : 4, x = mark.over ? mark.at - beside - wide : mark.at + beside;
    picture.append(svg("rect", { class: "paper", x, y: under(mark) - 10, width: wide, height: 13 }));
    word(picture, mark.over ? x + wide : x, under(mark), mark.text, mark.over ? "end" : "start");
  }
}

function grip(rule, mark, top, parameter) {
  return svg("g", {
    id: "grip", role: "slider", tabindex: 0, "aria-label": `${parameter.handle.name}, ${parameter.handle.side}imum`,
    "aria-valuenow": mark.value, "aria-valuemin": axis.low, "aria-valuemax": axis.high,
  }, rule, svg("rect", { class: "grip", x: mark.at - 7, y: top - 18, width: 14, height: 18, rx: 4 }));
}

// As fine as a picture element, and whole where the recipe's value is whole.
function rounded(to, edges, parameter) {
  if (Number.isInteger(savedValue(parameter)) && edges[edges.length - 1] - edges[0] > 5) return Math.round(to);
  const range = edges[edges.length - 1] - edges[0] || 1;
  return +to.toFixed(Math.min(20, Math.max(0, 3 - Math.floor(Math.log10(range)))));
}

function word(picture, x, y, text, anchor) {
  const element = svg("text", { x, y, "text-anchor": anchor });
  element.textContent = text;
  picture.append(element);
}

function legend(parameter) {
  const entry = (kind, text) => h("span", {}, h("i", { class: kind }), text), many = histogram.unknown, corpora = Object.entries(histogram.corpora);
  const share = parameter && !movable(parameter), differ = share && new Set(Object.values(histogram.corpora)).size !== 1;
  const known = histogram.quantiles.length > 0;
  return h("div", { class: "legend" },
    known ? entry("i-all", "all rows") : null,
    known && !(share && !corpora.length) ? entry("i-kept", "kept by the other rules") : null,
    known && (movable(parameter) || corpora.length) ? entry("i-dropped", "kept by the others, rejected here") : null,
    known && differ ? entry("i-mixed", corpora.length ? "kept by the others, here by some corpora's thresholds" : "kept by the other rules; not known here which stay") : null,
    known && movable(parameter) ? entry("i-curve", "share kept by a threshold there (right)") : null,
    h("span", {}, many ? `${count(many)} rows of unknown value are not drawn` : known ? `every row${histogram.other_kinds ? " that the rule judges" : ""} has a value` : ""),
    histogram.other_kinds ? h("span", {}, `${count(histogram.other_kinds)} rows are of kinds that the rule does not judge`) : null,
    histogram.moved ? h("span", {}, "as exported: what a moved threshold of another rule takes is not known here") : null,
    corpora.length ? h("ol", { class: "corpora" }, corpora.map(([corpus, at]) => h("li", {}, h("span", { class: "data" }, plain(corpus)), ` ${SENSES[parameter.handle.sense]} ${value(at)}`))) : null);
}

function spark(counts) {
  const picture = svg("svg", { viewBox: `0 0 ${counts.all.length} 30`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const top = Math.max(1, ...counts.all), high = (n) => 30 * Math.sqrt(n / top);
  counts.all.forEach((n, at) => picture.append(
    svg("rect", { class: "all", x: at, width: 1, y: 30 - high(n), height: high(n) }),
    svg("rect", { class: "kept", x: at, width: 1, y: 30 - high(counts.others[at]), height: high(counts.others[at]) }),
  ));
  return picture;
}
