// The verdicts of the last days, from where they are kept over restarts: what the stream of events cannot tell.

import { amount, setText } from "./common.js";
import { ask } from "./live.js";

const AGAIN_MS = 15_000;

/** Of a verdict alone, as much of a release's view as the list needs. Its arms are in the record, which its own page shows. */
function viewOf(verdict) {
  const { release_id: id, service, namespace, cluster, evidence, boundary, ticks, decided_at: submitted_at, signals } = verdict;
  return { id, release: { service, namespace, cluster }, stage: "ended", submitted_at, ticks, gaps: 0, owner: "", evidence, boundary, signals, verdict };
}

/**
 * Gives what looks back: the newest verdicts, at most so many, are told as views. Where they cannot be read that is said in
 * `place`, and tried again.
 */
export function pastVerdicts({ place, most, told }) {
  let turn = 0;
  const say = (text) => {
    setText(place, text);
    place.hidden = text === "";
  };
  return async function look(wanted) {
    turn += 1;
    const mine = turn;
    const query = new URLSearchParams({ limit: most, ...Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== "")) });
    try {
      const { verdicts, unreadable = 0 } = await ask(`v1/verdicts?${query}`);
      if (mine !== turn) return;
      say(unreadable > 0 ? `${amount(unreadable)} more cannot be read here: a newer version has told them.` : "");
      told(verdicts.map(viewOf));
    } catch (error) {
      if (mine !== turn) return;
      say(`Only what is in the daemon's memory: the verdicts of the last days cannot be read now (${error.message}).`);
      setTimeout(() => mine === turn && look(wanted), AGAIN_MS);
    }
  };
}
