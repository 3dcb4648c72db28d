// The histogram of what a threshold bounds, with the threshold to be dragged.

const MARGIN = { left: 46, right: 40, top: 14, bottom: 30 };
const HEIGHT = 270;

const SENSES = { ">=": "≥", ">": ">", "<=": "≤", "<": "<" };
const COMPARED = { ">=": (a, b) => a >= b, ">": (a, b) => a > b, "<=": (a, b) => a <= b, "<": (a, b) => a < b };

// A threshold of a share stands on no axis of values: it is moved by its slider and box.
const movable = (p) => Boolean(p) && !shareKey(p);

function drawChart() {
  const place = $("chart");
  const held = document.activeElement?.id === "grip";
  place.replaceChildren();
  if (!histogram) return;
  const width = Math.max(place.clientWidth - 28, 320);
  const parameter = parameterOf(S.name), rule = ruleOf(S.name);
  const picture = svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": `Distribution of ${S.name}` });
  const edges = histogram.edges, x = xScale(edges, width), top = Math.max(1, ...histogram.all);
  const y = (n) => HEIGHT - MARGIN.bottom - (HEIGHT - MARGIN.bottom - MARGIN.top) * (S.counts === "root" ? Math.sqrt(n / top) : n / top);
  const cut = movable(parameter) ? currentValue(rule, parameter) : null;
  const stays = (v) => cut === null || COMPARED[parameter.handle.sense](v, cut);
  edges.slice(0, -1).forEach((edge, n) => {
    const left = x(edge), wide = Math.max(0.5, x(edges[n + 1]) - left - 0.6);
    const bar = (kind, many, from = left, width = wide) => svg("rect", { class: kind, x: from, width: Math.max(0, width), y: y(many), height: HEIGHT - MARGIN.bottom - y(many) });
    const title = svg("title");
    title.textContent = `${value(edge)} to ${value(edges[n + 1])}: ${count(histogram.all[n])} rows, ${count(histogram.others[n])} kept by the other rules`;
    // A threshold within a bin parts it: which of its rows lie on which side no bin tells.
    const parted = cut !== null && cut > edge && cut < edges[n + 1] ? x(cut) : left + wide, others = histogram.others[n];
    picture.append(svg("g", {}, title, bar("all", histogram.all[n]),
      bar(stays(edge) ? "kept" : "dropped", others, left, parted - left),
      bar(stays(edges[n + 1]) ? "kept" : "dropped", others, parted, left + wide - parted)));
  });
  drawAxes(picture, edges, x, y, top, width);
  if (cut !== null) drawCurve(picture, edges, x, width, parameter);
  if (advice?.name === S.name && advice.suggestion) drawAdvice(picture, x, width, advice.suggestion);
  for (const [corpus, at] of Object.entries(histogram.corpora)) drawLine(picture, "ghost", x(at), `${corpus} ${value(at)}`);
  if (cut !== null) {
    if (cut !== savedValue(parameter)) drawLine(picture, "ghost", x(savedValue(parameter)), `recipe ${value(savedValue(parameter))}`);
    drawGrip(picture, x(cut), cut, rule, parameter, edges, width);
  }
  place.append(picture, legend(parameter));
  if (held) $("grip")?.focus();
}

// On what holds the picture: the picture itself is drawn anew with each move.
function listenToDrags() {
  const place = $("chart");
  const move = (event) => {
    const parameter = parameterOf(S.name), box = place.querySelector("svg")?.getBoundingClientRect();
    if (!movable(parameter) || !box) return;
    const to = xScale(histogram.edges, box.width).invert(event.clientX - box.left);
    change(ruleOf(S.name), parameter.name, rounded(to, histogram.edges, parameter));
  };
  place.addEventListener("pointerdown", (event) => {
    if (!event.target.closest("svg")) return;
    place.setPointerCapture(event.pointerId);
    place.onpointermove = move;
    move(event);
  });
  for (const end of ["pointerup", "pointercancel"]) place.addEventListener(end, () => { place.onpointermove = null; });
}

function xScale(edges, width) {
  const inner = width - MARGIN.left - MARGIN.right, last = edges.length - 1;
  if (S.scale === "linear" && last > 0) {
    const low = edges[0], high = edges[last];
    const at = (v) => MARGIN.left + (inner * (Math.min(Math.max(v, low), high) - low)) / (high - low || 1);
    at.invert = (px) => low + ((px - MARGIN.left) / inner) * (high - low);
    return at;
  }
  // Bins of equal width on the page, whatever values they hold; within a bin evenly.
  const at = (v) => {
    if (v <= edges[0]) return MARGIN.left;
    const n = edges.findIndex((edge) => edge >= v);
    if (n < 0) return MARGIN.left + inner;
    return MARGIN.left + (inner * (n - 1 + (v - edges[n - 1]) / (edges[n] - edges[n - 1] || 1))) / last;
  };
  at.invert = (px) => {
    const place = Math.min(Math.max(((px - MARGIN.left) / inner) * last, 0), last), n = Math.min(Math.floor(place), last - 1);
    return edges[n] + (place - n) * (edges[n + 1] - edges[n]);
  };
  return at;
}

function drawAxes(picture, edges, x, y, top, width) {
  const floor = HEIGHT - MARGIN.bottom;
  picture.append(svg("line", { class: "axis", x1: MARGIN.left, x2: width - MARGIN.right, y1: floor, y2: floor }));
  const steps = Math.min(8, edges.length - 1);
  for (let n = 0; n <= steps; n += 1) {
    const edge = edges[Math.round((n * (edges.length - 1)) / steps)];
    word(picture, x(edge), floor + 17, String(+edge.toPrecision(3)), "middle");
  }
  for (const n of [top, top / 2]) word(picture, MARGIN.left - 6, y(n) + 4, short(n), "end");
}

// What share of the rows that the other rules keep a threshold at this place would keep.
function drawCurve(picture, edges, x, width, parameter) {
  const total = histogram.others.reduce((a, b) => a + b, 0) || 1, up = parameter.handle.side === "max";
  let run = 0;
  const shares = [0, ...histogram.others.map((n) => (run += n))].map((n) => (up ? n : run - n) / total);
  const height = HEIGHT - MARGIN.bottom - MARGIN.top, at = (share) => MARGIN.top + height * (1 - share);
  picture.append(svg("polyline", { class: "curve", points: edges.map((edge, n) => `${x(edge)},${at(shares[n])}`).join(" ") }));
  for (const share of [0, 0.5, 1]) word(picture, width - MARGIN.right + 6, at(share) + 4, `${100 * share} %`, "start");
}

function drawAdvice(picture, x, width, found) {
  const left = x(found.low), right = x(found.high);
  picture.append(svg("rect", { class: "advice-band", x: left, width: Math.max(1, right - left), y: MARGIN.top, height: HEIGHT - MARGIN.top - MARGIN.bottom }));
  drawLine(picture, "advice", x(found.value), `votes: ${value(found.value)}`);
}

function drawLine(picture, kind, at, label) {
  picture.append(svg("line", { class: kind, x1: at, x2: at, y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom }));
  word(picture, at + 4, MARGIN.top + 22, label, "start");
}

function drawGrip(picture, at, cut, rule, parameter, edges, width) {
  const group = svg("g", {
    id: "grip", role: "slider", tabindex: 0, "aria-label": `${parameter.handle.name}, ${parameter.handle.side}imum`,
    "aria-valuenow": cut, "aria-valuemin": edges[0], "aria-valuemax": edges[edges.length - 1],
  });
  group.append(
    svg("line", { class: "cut", x1: at, x2: at, y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom }),
    svg("rect", { class: "grip", x: at - 7, y: MARGIN.top - 8, width: 14, height: 18, rx: 4 }),
  );
  picture.append(group);
  const over = at > width - 150;
  word(picture, over ? at - 11 : at + 11, MARGIN.top + 4, `keep ${SENSES[parameter.handle.sense]} ${value(cut)}`, over ? "end" : "start");
}

// As fine as a picture element, and whole where the recipe's value is whole.
function rounded(to, edges, parameter) {
  if (Number.isInteger(savedValue(parameter)) && edges[edges.length - 1] - edges[0] > 5) return Math.round(to);
  const range = edges[edges.length - 1] - edges[0] || 1;
  return +to.toFixed(Math.max(0, 3 - Math.floor(Math.log10(range))));
}

function word(picture, x, y, text, anchor) {
  const element = svg("text", { x, y, "text-anchor": anchor });
  element.textContent = text;
  picture.append(element);
}

function legend(parameter) {
  const entry = (kind, text) => h("span", {}, h("i", { class: kind }), text);
  const unknown = histogram.unknown ? `${count(histogram.unknown)} rows of unknown value are not drawn` : "every row has a value";
  const others = histogram.other_kinds ? `nor are ${count(histogram.other_kinds)} of kinds that the rule does not judge` : null;
  return h("div", { class: "legend" },
    entry("i-all", "all rows"), entry("i-kept", "kept by the other rules"),
    parameter ? entry("i-dropped", "kept by the others, rejected here") : null,
    movable(parameter) ? entry("i-curve", "share kept by a threshold there (right)") : null,
    h("span", {}, unknown), others ? h("span", {}, others) : null);
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
