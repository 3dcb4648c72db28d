// Clips as people judge them: pictures on hover, the film on click, votes by button or key.

const VOTES = [["good", "g"], ["bad", "b"], ["unsure", "u"]];

const nameOf = (row) => plain(row.source_uri || row.id);

function card(row, kind) {
  const scores = Object.entries(row.scores || {}).filter(([, held]) => typeof held === "number");
  const words = h("div", { class: "words" },
    row.value === undefined ? null : h("div", { class: "value" }, value(row.value)),
    h("div", { class: "caption data" }, row.text || "no text"),
    h("div", { class: "uri data", title: nameOf(row) }, [row.corpus ? plain(row.corpus) : "", nameOf(row)].filter(there).join(": ")),
    h("details", {}, h("summary", { class: "quiet" }, "measures"),
      h("div", { class: "chips" }, scores.map(([name, held]) => h("span", {}, `${name} ${value(held)}`))),
      h("code", {}, row.id)),
    h("div", { class: "votes", role: "group", "aria-label": "Vote" }, VOTES.map(([word, key]) =>
      h("button", { type: "button", title: key, "aria-pressed": String(votes[row.id] === word), onclick: () => vote(row.id, word) }, word))));
  const made = h("article", { class: `card ${kind}`, tabindex: -1, "data-id": row.id }, picture(row), words);
  made.play = () => play(made, row);
  return made;
}

function picture(row) {
  const button = h("button", { type: "button", class: "picture", title: "Play (space)", "aria-label": `Play ${nameOf(row)}` });
  if (!row.frames) {
    button.append(h("span", { class: "none" }, "no stored frame"));
    return button;
  }
  const image = h("img", { src: frameOf(row.id, 0), alt: row.text || nameOf(row), loading: "lazy" });
  button.addEventListener("pointermove", (event) => {
    const box = button.getBoundingClientRect();
    const n = Math.floor(((event.clientX - box.left) / box.width) * row.frames);
    image.src = frameOf(row.id, Math.min(Math.max(n, 0), row.frames - 1));
  });
  button.addEventListener("pointerleave", () => { image.src = frameOf(row.id, 0); });
  button.addEventListener("click", () => play(button.closest(".card"), row));
  button.append(image);
  if (row.duration_s) button.append(h("span", { class: "time" }, `${row.start_s === null ? "" : `${row.start_s.toFixed(1)} s + `}${row.duration_s.toFixed(1)} s`));
  return button;
}

// The part of its file that is the clip; where the browser cannot play the file, its stored frames in turn.
function play(place, row) {
  const shown = place.querySelector(".picture, video");
  if (!shown || shown.tagName === "VIDEO" || row.kind !== "video") return;
  if (DATA || !row.plays) {
    turn(shown, row);
    return;
  }
  const from = row.start_s ?? 0, to = row.end_s ?? 1e9;
  const film = h("video", { src: `media/${row.id}?t=${encodeURIComponent(token)}#t=${from},${to}`, controls: true, muted: true, autoplay: true });
  film.addEventListener("timeupdate", () => { if (film.currentTime >= to) film.currentTime = from; });
  film.addEventListener("error", () => { film.replaceWith(shown); turn(shown, row); });
  const box = h("div", { class: "picture" }, film);
  shown.replaceWith(box);
}

function turn(shown, row) {
  const image = shown.querySelector("img");
  if (!image || shown.dataset.turning) return;
  shown.dataset.turning = "yes";
  shown.querySelector(".time")?.replaceChildren("stored frames");
  let n = 0;
  const timer = setInterval(() => {
    if (!image.isConnected) clearInterval(timer);
    n = (n + 1) % row.frames;
    image.src = frameOf(row.id, n);
  }, 250);
}

async function vote(id, word) {
  const to = votes[id] === word ? null : word;
  try {
    votes = (await ask("vote", { id, vote: to })).votes;
  } catch (error) {
    complain(error);
    return;
  }
  for (const place of document.querySelectorAll(`[data-id="${CSS.escape(id)}"] .votes button`))
    place.setAttribute("aria-pressed", String(votes[id] === place.textContent));
  seekAdvice();
}

// The precision that a suggested threshold has to reach.
const TARGET = 0.9;

// What the votes say of the chosen threshold; at least two of them are needed for a curve.
function seekAdvice() {
  if (!S.name || !parameterOf(S.name) || DATA) return;
  const name = S.name, told = (found) => {
    advice = found;
    drawChart();
    if (S.tab === "votes") drawPanel();
  };
  if (Object.keys(votes).length < 2) return told(null);
  latest("precision", () => ask("precision", { name, target: TARGET }), (found) => told({ ...found, name }));
}

// How many clips a side are asked for; the server answers up to MOST.
const FEW = 8, MOST = 100;
let few = FEW;

// Groups of {title, note, rows, kind}: two beside each other, others below. What stays is left where it is, so
// that a clip that plays goes on; `head` is made once.
function showCards(place, head, groups) {
  if (place.firstElementChild?.dataset.tab !== S.tab) {
    const group = () => h("div", { class: "group" }, h("h3"), h("div", { class: "cards" }), h("p", { class: "quiet" }, "no such clip"));
    put(place, h("div", { "data-tab": S.tab }, head, h("div", { class: "sides" }, groups.slice(0, 2).map(group)), groups.slice(2).map(group),
      h("button", { type: "button", class: "more", onclick: () => { few = Math.min(MOST, 3 * few); drawPanel(); } }, "More clips")));
  }
  place.querySelectorAll(".group").forEach((one, n) => fill(one, groups[n]));
  place.querySelector(".more").hidden = Boolean(DATA) || few >= MOST || groups.slice(0, 2).every((one) => one.rows.length < few);
}

function fill(group, { title, note, rows, kind }) {
  const cards = group.querySelector(".cards"), held = new Map([...cards.children].map((one) => [one.dataset.key, one]));
  const wanted = rows.map((row) => {
    const key = JSON.stringify([row.id, kind, row.value]), made = held.get(key) || card(row, kind);
    made.dataset.key = key;
    return made;
  });
  put(group.querySelector("h3"), title, " ", h("span", { class: "quiet" }, note));
  group.querySelector("p").hidden = rows.length > 0;
  for (const one of [...cards.children]) if (!wanted.includes(one)) one.remove();
  wanted.forEach((one, n) => { if (cards.children[n] !== one) cards.insertBefore(one, cards.children[n] || null); });
}

const cardsShown = () => [...document.querySelectorAll("#panel .card")];
function step(by) {
  const every = cardsShown(), at = every.indexOf(document.activeElement?.closest?.(".card"));
  const next = every[Math.min(Math.max(at + by, 0), every.length - 1)];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}
