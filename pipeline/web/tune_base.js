"use strict";
// Elements, numbers, questions to the server, and the state, which stands in the address.

const token = new URLSearchParams(location.search).get("t") || "";
const embedded = document.getElementById("data");
const DATA = embedded ? JSON.parse(embedded.textContent) : null;
const FRESH = { step: null, name: null, changes: {}, tab: "boundary", scale: "linear", counts: "linear" };
const S = { ...FRESH };
let start = null;
let whatIf = null;
let histogram = null;
let votes = {};
let advice = null;

const $ = (id) => document.getElementById(id);

// Text from data only ever becomes a text node.
function h(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "class") element.className = value;
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element && key !== "list") element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.flat().filter(there));
  return element;
}

const there = (child) => child !== null && child !== undefined && child !== "";
const put = (place, ...children) => place.replaceChildren(...children.flat().filter(there));

function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// A name on one line: what cannot be seen in it, or would reorder it, is told as its escape.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
const SHORT = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
const plain = (text) => String(text).replace(UNSEEN, (one) => SHORT[one] || `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);

const whole = new Intl.NumberFormat("en");
const count = (n) => whole.format(Math.round(n));
const percent = (share) => (Number.isFinite(share) ? `${(100 * share).toFixed(share > 0.0995 || share === 0 ? 1 : 2)} %` : "none");
function short(n) {
  if (!Number.isFinite(n)) return "unknown";
  const units = [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e4, "k"]];
  for (const [size, unit] of units) if (Math.abs(n) >= size) return `${(n / (unit === "k" ? 1e3 : size)).toFixed(1)} ${unit}`;
  return count(n);
}
const value = (n) => (n === null || n === undefined || Number.isNaN(n) ? "unknown" : String(+Number(n).toPrecision(6)));
function lasting(seconds) {
  if (!Number.isFinite(seconds)) return "unknown";
  if (seconds < 120) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 7200) return `${(seconds / 60).toFixed(1)} min`;
  return `${short(seconds / 3600)} h`;
}

async function ask(path, body = {}) {
  const sent = { step: S.step, changes: S.changes, ...body };
  if (DATA) return fromData(path, sent);
  if (path !== "start") sent.session = start?.session;
  const answer = await fetch(`api/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Token": token },
    body: JSON.stringify(sent),
  });
  const told = answer.headers.get("content-type")?.includes("json") ? await answer.json() : { error: await answer.text() };
  if (answer.ok) return told;
  const stale = answer.status === 409 && Boolean(told.stale);
  if (stale) renew();
  throw Object.assign(new Error(told.error), { stale, refused: answer.status === 400 });
}

// An exported page has no server: it knows the answers for the thresholds it was made with, and of each
// threshold alone what other values would keep.
const OFFLINE = "an exported page does not know this for a moved threshold; `reelmix tune` opens the live one";
const MOVES = ["boundary", "flips", "overlap"];
const offline = (why) => Promise.reject(Object.assign(new Error(why), { refused: true, offline: true }));

function fromData(path, sent) {
  const unmoved = JSON.stringify(sent.changes) === JSON.stringify(DATA.changes);
  if (path === "what_if" && !unmoved) return sweptWhatIf(sent.changes);
  if (MOVES.includes(path) && !unmoved) return offline(OFFLINE);
  if (path === "histogram") return Promise.resolve(unmoved ? DATA.histograms[sent.name] : asExported(sent));
  if (path === "boundary") return Promise.resolve(DATA.boundaries[sent.name]);
  if (path in DATA.answers) return Promise.resolve(DATA.answers[path]);
  return offline("this is an exported page: it cannot write; `reelmix tune` opens the live one");
}

function asExported({ name, changes }) {
  const others = (held) => JSON.stringify({ ...held, [ruleOf(name)?.name]: undefined });
  return { ...DATA.histograms[name], corpora: {}, moved: others(changes) !== others(DATA.changes) };
}

// Only what was computed for that value is told; all else is unknown then.
function sweptWhatIf(changes) {
  const moved = [], no = (why) => offline(`an exported page ${why}; \`reelmix tune\` opens the live one`);
  for (const rule of start.rules) {
    const then = DATA.changes[rule.name] || {}, now = changes[rule.name] || {};
    if ((now.enabled ?? rule.enabled) !== (then.enabled ?? rule.enabled)) return no("switches no rule");
    for (const p of rule.parameters) if (JSON.stringify(now[p.name]) !== JSON.stringify(then[p.name])) moved.push([p, currentValue(rule, p, changes)]);
  }
  const points = moved.length === 1 ? DATA.sweeps[moved[0][0].handle?.name] : null;
  if (!points || !points.length) return no("moves one threshold at a time");
  const near = points.reduce((a, b) => (Math.abs(b.value - moved[0][1]) < Math.abs(a.value - moved[0][1]) ? b : a));
  return Promise.resolve({ all: DATA.answers.what_if.all, kept: near.kept, gained: near.gained, lost: near.lost, near: near.value, captions: null, rules: [], routed: [], corpora: [] });
}

// A message stays until people answer it: by a change, by Reset, or by closing it.
function complain(error) {
  if (error?.stale) return;
  $("error").querySelector("span").textContent = error ? error.message : "";
  $("error").hidden = !error;
}

const frameOf = (id, n) => (DATA ? DATA.frames[id]?.[n] : `frame/${id}/${n}.jpg?t=${encodeURIComponent(token)}`);

const isText = (held) => held === null || typeof held === "string";
const isObject = (held) => held !== null && typeof held === "object";
const oneOf = (words) => (held) => words.includes(held);
const FITTING = {
  step: isText, name: isText, tab: (held) => Object.keys(TABS).includes(held), scale: oneOf(["linear", "log", "quantile"]), counts: oneOf(["linear", "root"]),
  changes: (held) => isObject(held) && Object.values(held).every(isObject), against: (held) => typeof held === "boolean",
};

// What the address says, as far as it fits; returns what was set aside.
function readAddress() {
  let read;
  try {
    read = JSON.parse(decodeURIComponent(location.hash.slice(1) || "%7B%7D"));
  } catch {
    return ["all of it, which is no state that can be read"];
  }
  if (!read || typeof read !== "object") return ["all of it, which is no state"];
  const aside = Object.keys(read).filter((key) => !(Object.hasOwn(FITTING, key) && FITTING[key](read[key])));
  for (const key of aside) delete read[key];
  Object.assign(S, FRESH, read);
  return aside.map(plain);
}

function writeAddress() {
  history.replaceState(null, "", `#${encodeURIComponent(JSON.stringify(S))}`);
}

// One question in flight of each kind; of those asked meanwhile only the last is sent.
const waiting = new Map();
function latest(kind, question, show, refuse = complain) {
  const line = waiting.get(kind) || { busy: false, next: null };
  waiting.set(kind, line);
  line.next = { question, show, refuse };
  if (!line.busy) void follow(line);
}
async function follow(line) {
  line.busy = true;
  while (line.next) {
    const { question, show, refuse } = line.next;
    line.next = null;
    try {
      const told = await question();
      if (!line.next) show(told);
    } catch (error) {
      if (!line.next) refuse(error);
    }
  }
  line.busy = false;
}

const ruleOf = (name) => start.rules.find((rule) => name !== null && (name === rule.name || name.startsWith(`${rule.name}.`)));
const handlesOf = (rule) => rule.parameters.filter((p) => p.handle);
const parameterOf = (name) => ruleOf(name)?.parameters.find((p) => p.handle?.name === name);
const shareKey = (p) => ("top" in p ? "top" : "bottom" in p ? "bottom" : null);
const savedValue = (p) => (shareKey(p) ? p[shareKey(p)] : p.value);
function currentValue(rule, p, changes = S.changes) {
  const changed = changes[rule.name]?.[p.name];
  if (changed === undefined) return savedValue(p);
  return typeof changed === "object" && shareKey(p) ? changed[shareKey(p)] : changed;
}
const isOn = (rule) => S.changes[rule.name]?.enabled ?? rule.enabled;

// Whether a change of unknown origin is one that this page could have made.
function fits(rule, key, to) {
  if (key === "enabled") return typeof to === "boolean";
  const p = rule?.parameters.find((one) => one.name === key);
  return Boolean(p?.handle) && Number.isFinite(shareKey(p) ? to?.[shareKey(p)] : to);
}

function change(rule, key, to) {
  const parameter = rule.parameters.find((p) => p.name === key);
  const was = key === "enabled" ? rule.enabled : savedValue(parameter);
  const mine = { ...(S.changes[rule.name] || {}) };
  if (to === was) delete mine[key];
  else mine[key] = parameter && shareKey(parameter) ? { [shareKey(parameter)]: to } : to;
  const changes = { ...S.changes, [rule.name]: mine };
  if (!Object.keys(mine).length) delete changes[rule.name];
  S.changes = changes;
  complain(null);
  changed();
}
