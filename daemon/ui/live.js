// The daemon's API: what is asked of it, the streams that are followed, and what stands on top of every live page.

import { clock, dated, el, setText } from "./common.js";

/** Where the daemon's API begins: relative to this file, so that it holds under any path that a proxy puts before it. */
export const BASE = new URL("../../", import.meta.url);
const BEATS_LOST_MS = 25_000;
const FREEZES_EVERY_MS = 15_000;
const AGAIN_MS = 2_000;

/** The API's answer as data. Throws an Error with the problem's own words. */
export async function ask(path) {
  const response = await fetch(new URL(path, BASE), { headers: { Accept: "application/json" } });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw Object.assign(new Error(body.detail ?? response.statusText), { status: response.status });
  return body;
}

let behind = 0;
/** Seconds since 1970, by the daemon's clock. */
export const now = () => Date.now() / 1000 - behind;

/**
 * Follows a stream for as long as the page is seen. `told`: by the event's name, what to do with its data. A stream that a reader
 * must begin anew, or whose end has come, says so; silence is shown as what it is.
 */
export function follow(path, told) {
  let source = null;
  let heard = Date.now();
  let over = false;
  const stale = notice("stale", "alert");

  const hear = (event) => {
    heard = Date.now();
    stale("");
    const data = JSON.parse(event.data);
    if (data.now > 0) behind = Date.now() / 1000 - data.now;
    return data;
  };
  const open = () => {
    source?.close();
    if (over || document.hidden) return;
    source = new EventSource(new URL(path, BASE));
    for (const name of ["opened", "release", "beat"]) source.addEventListener(name, (event) => told[name]?.(hear(event)));
    source.addEventListener("missed", (event) => {
      hear(event);
      open();
    });
    source.addEventListener("end", () => {
      over = true;
      source.close();
      told.end?.();
    });
    source.addEventListener("error", () => {
      if (!over) stale(`Stale since ${clock(heard / 1000)}: the daemon does not answer.`);
      // A browser gives a stream up for good where the answer was no stream.
      if (source.readyState === EventSource.CLOSED) setTimeout(open, AGAIN_MS);
    });
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) source?.close();
    else open();
  });
  setInterval(() => {
    if (!over && !document.hidden && Date.now() - heard > BEATS_LOST_MS) {
      stale(`Stale since ${clock(heard / 1000)}: the daemon says nothing.`);
    }
  }, 1000);
  open();
}

/** A place on top of the page for one sentence; empty: nothing is there. */
export function notice(kind, role = "status") {
  const place = el("p", { class: `notice ${kind}`, role, hidden: "" });
  document.getElementById("notices").append(place);
  return (text) => {
    setText(place, text);
    place.hidden = text === "";
  };
}

/** Shows for as long as the page is open what is frozen. */
export function showFreezes() {
  const say = notice("freeze");
  const look = async () => {
    if (document.hidden) return;
    try {
      const { freezes } = await ask("v1/freezes");
      say(freezes.map(frozen).join(" "));
    } catch {
      // The stream says that the daemon is away.
    }
  };
  look();
  setInterval(look, FREEZES_EVERY_MS);
}

function frozen(freeze) {
  const where = freeze.namespace === null ? "Everything" : `Namespace ${freeze.namespace}`;
  const until = freeze.until === null ? "until it is thawed" : `until ${dated(freeze.until)}`;
  const why = freeze.reason === "" ? "" : ` (${freeze.reason})`;
  return `❄ ${where} is frozen ${until}, by ${freeze.by}${why}: nothing is taken back.`;
}
