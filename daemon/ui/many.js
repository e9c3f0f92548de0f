// All releases: what is urgent first. A change marks its row; all rows that are marked are painted together, once a frame.

import { amount, armName, clock, dated, el, percent, setClass, setText, span } from "./common.js";
import { ask, follow, now, showFreezes } from "./live.js";
import { pastVerdicts } from "./past.js";
import { OUTCOMES, STATES, isOpen, stateOf, way } from "./states.js";

const PAGE = 1000;
const MOST_ENDED = 200;
const AGE = 4;
const WAITING_EVERY_MS = 15_000;
const SPOKEN = 1.5;
/** From this evidence on, the quantity that speaks most against the canary is named. */
const releases = new Map();
const marked = new Set();
const filters = document.getElementById("filters");
const tables = { open: document.querySelector("#open tbody"), ended: document.querySelector("#ended tbody") };
let asked = false;
let known = false;

function painted() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    performance.mark("paint-begins");
    paint();
    performance.measure("paint", "paint-begins");
  });
}

function heard({ release, now: tick }) {
  const known = releases.get(release.id);
  if (known === undefined) releases.set(release.id, { view: release, tick, row: null, state: stateOf(release, tick) });
  else Object.assign(known, { past: false, view: release, tick: tick ?? known.tick, state: stateOf(release, tick ?? known.tick) });
  marked.add(release.id);
  painted();
}

/** Verdicts from before the daemon's memory, or of another replica: whatever the stream of events tells of a release is more. */
function remembered(views) {
  for (const view of views) {
    if (releases.has(view.id)) continue;
    releases.set(view.id, { view, past: true, row: null, state: stateOf(view) });
  }
  painted();
}

/** A revert that failed is urgent until a newer release of its service is there. */
function superseded(latest, { view }) {
  return latest.get(`${view.release.namespace}/${view.release.service}`) > view.submitted_at;
}

function paint() {
  const wanted = Object.fromEntries(new FormData(filters));
  const latest = new Map();
  for (const { view, past } of releases.values()) {
    if (past) continue;
    const key = `${view.release.namespace}/${view.release.service}`;
    latest.set(key, Math.max(latest.get(key) ?? 0, view.submitted_at));
  }
  const open = [];
  const ended = [];
  for (const one of releases.values()) {
    if (!matches(one, wanted)) continue;
    const stays = !one.past && isOpen(one.view, one.state) && !(one.view.stage === "ended" && superseded(latest, one));
    if (stays) open.push(one);
    else ended.push(one);
  }
  open.sort((a, b) => STATES[a.state].order - STATES[b.state].order || nearness(b) - nearness(a) || byAge(a, b));
  ended.sort((a, b) => (b.view.verdict?.decided_at ?? 0) - (a.view.verdict?.decided_at ?? 0) || byAge(a, b));
  const page = Math.min(pageOf(), Math.max(1, Math.ceil(open.length / PAGE)));
  const shown = ended.slice(0, MOST_ENDED);
  place(tables.open, open.slice((page - 1) * PAGE, page * PAGE), fillOpen);
  place(tables.ended, shown, fillEnded);
  marked.clear();
  turnPages(open.length, page);
  say(open, shown);
}

const nearness = ({ view }) => Math.round(10 * way(view.evidence, view.boundary));
const byAge = (a, b) => b.view.submitted_at - a.view.submitted_at || (a.view.id < b.view.id ? -1 : 1);
const pageOf = () => Math.max(1, Number(new URLSearchParams(location.search).get("page")) || 1);

function matches({ view, state }, { namespace, service, state: only }) {
  const outcome = state === "guarding" ? "rollback" : state;
  const alike = only === "" || outcome === only || (STATES[state].order === STATES[only].order && !OUTCOMES.has(only));
  const of = view.release;
  return alike && (namespace === "" || of.namespace === namespace) && (service === "" || of.service.includes(service));
}

/** Makes the table's rows those of `wanted`, in their order, and fills the marked ones and the new ones. */
function place(table, wanted, fill) {
  let next = table.firstChild;
  for (const one of wanted) {
    const moved = one.row?.parentNode !== table;
    one.row ??= newRow(one.view);
    if (moved || marked.has(one.view.id)) fill(one);
    if (one.row === next) next = next.nextSibling;
    else table.insertBefore(one.row, next);
  }
  while (next !== null) {
    const gone = next;
    next = next.nextSibling;
    gone.remove();
  }
}

function newRow(view) {
  const cells = ["state", "service", "versions", "owner", "age", "share", "evidence", "gaps", "says"].map((name) => el("td", { class: name }));
  const row = el("tr", {}, ...cells);
  const address = new URL(`release/${encodeURIComponent(view.id)}`, new URL("../", import.meta.url));
  cells[1].append(el("a", { href: address.href }, view.release.service), el("span", { class: "soft" }, ` ${view.release.namespace}`));
  cells[8].append(el("span", { class: "what" }));
  cells[6].append(el("span", { class: "meter", "aria-hidden": "true" }, el("i")), el("span"));
  return row;
}

function fillOpen(one) {
  const { view, tick, row } = one;
  const { age, share, says } = fill(one);
  setText(age, aged(view));
  const weight = tick?.weight ?? view.release.weight;
  setText(share, `${weight === null || weight === undefined ? "–" : `${amount(weight)} %`}, ${percent(tick?.share)}`);
  const worst = tick?.words && view.evidence > SPOKEN && ["watching", "reverting"].includes(view.stage) ? `${tick.words}: ` : "";
  const why = view.verdict?.reason ?? view.hindrances[0] ?? view.waiting_for;
  setText(says.firstChild, `${worst}${why}`);
}

function fillEnded(one) {
  const { view } = one;
  const { age, share, says } = fill(one);
  setText(age, view.verdict ? whenOf(view.verdict.decided_at) : "–");
  setText(share, view.verdict?.action ?? "–");
  setText(says.firstChild, view.verdict?.reason ?? "");
}

/** What both tables tell of a release. Gives the row's cells, by name. */
function fill({ view, state, row }) {
  const { sign, words } = STATES[state];
  const cells = Object.fromEntries([...row.cells].map((cell) => [cell.className, cell]));
  setClass(row, state);
  setText(cells.state, `${sign} ${words}`);
  setText(cells.versions, view.release.canary ? `${armName(view.release.canary)} ← ${armName(view.release.baseline)}` : "–");
  setText(cells.owner, view.owner);
  setText(cells.gaps, view.gaps > 0 ? `${amount(view.gaps)} of ${amount(view.ticks)}` : "");
  const [meter, text] = cells.evidence.children;
  meter.firstChild.style.width = `${(100 * Math.min(1, way(view.evidence, view.boundary))).toFixed(0)}%`;
  setText(text, view.boundary === null ? "" : `${amount(view.evidence)} of ${amount(view.boundary)}`);
  return cells;
}

function aged(view) {
  const age = now() - view.submitted_at;
  const left = view.window_seconds === null || view.stage !== "watching" || view.waits_until ? "" : `, ${span(view.window_seconds - view.seconds)}`;
  return `${span(age)}${left}`;
}

/** What was announced without arms is no release yet, and stands in no stream. */
async function showWaiting() {
  if (document.hidden) return;
  try {
    const { waiting } = await ask("v1/waiting");
    const section = document.getElementById("waiting");
    section.hidden = waiting.length === 0;
    section.querySelector("ul").replaceChildren(...waiting.map(waits));
  } catch {
    // The stream says that the daemon is away.
  }
}

function waits(one) {
  const said = one.routes.map(({ route, why }) => `${route}: ${why}`).join("; ");
  const told = `a ${one.waits_for} to take traffic, since ${dated(one.since)} until ${dated(one.until)}`;
  return el("li", {}, `${one.namespace}: ${told}${said === "" ? "" : ` (${said})`}`, el("span", { class: "soft" }, ` ${one.sender} ${one.id}`));
}

const whenOf = (at) => (now() - at < 43_200 ? clock(at) : dated(at).slice(0, -3));

function say(open, ended) {
  const urgent = open.filter(({ state }) => STATES[state].order < 2).length;
  setText(document.getElementById("counts"), `${amount(open.length)} now, ${amount(urgent)} being or not taken back`);
  document.title = urgent > 0 ? `(${urgent}) verdictd: releases` : "verdictd: releases";
  document.getElementById("open-none").hidden = !known || open.length > 0;
  document.getElementById("ended-none").hidden = !known || ended.length > 0;
}

function turnPages(count, page) {
  const nav = document.getElementById("open-pages");
  const pages = Math.ceil(count / PAGE);
  nav.hidden = pages < 2;
  const state = `${pages}/${page}`;
  if (nav.dataset.state === state) return;
  nav.dataset.state = state;
  nav.replaceChildren();
  for (let number = 1; number <= pages; number += 1) {
    const query = new URLSearchParams(location.search);
    query.set("page", String(number));
    nav.append(el("a", { href: `?${query}`, "aria-current": number === page ? "page" : null }, String(number)));
  }
}

function filtersFromAddress() {
  const query = new URLSearchParams(location.search);
  for (const name of ["namespace", "service", "state"]) filters.elements[name].value = query.get(name) ?? "";
  if (filters.elements.state.selectedIndex < 0) filters.elements.state.value = "";
}

const lookBack = pastVerdicts({ place: document.getElementById("ended-note"), most: MOST_ENDED, told: remembered });
const wantedNow = () => {
  const { namespace, state } = Object.fromEntries(new FormData(filters));
  return { namespace, outcome: OUTCOMES.has(state) ? state : "" };
};

filters.addEventListener("submit", (event) => event.preventDefault());
filters.addEventListener("input", () => {
  const query = new URLSearchParams([...new FormData(filters)].filter(([, value]) => value !== ""));
  history.replaceState(null, "", query.size > 0 ? `?${query}` : location.pathname);
  painted();
});
filters.addEventListener("change", () => lookBack(wantedNow()));
window.addEventListener("popstate", () => {
  filtersFromAddress();
  lookBack(wantedNow());
  painted();
});

filtersFromAddress();
showFreezes();
showWaiting();
setInterval(showWaiting, WAITING_EVERY_MS);
follow("v1/events", {
  opened: ({ resumed }) => {
    if (!resumed) {
      releases.clear();
      lookBack(wantedNow());
    }
    known = true;
    painted();
  },
  release: heard,
});
setInterval(() => {
  if (document.hidden) return;
  for (const row of releases.values()) {
    if (row.row?.parentNode === tables.open) setText(row.row.cells[AGE], aged(row.view));
  }
}, 1000);
