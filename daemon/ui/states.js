// In which state a release is for whoever looks for what is wrong: the urgent ones first. Each has a sign and a word beside its colour.

export const NEAR = 0.5;
/** From this part of the way to its boundary on (on a logarithmic scale) evidence is near it. */

export const STATES = {
  failed: { order: 0, sign: "✕", words: "revert failed" },
  blocked: { order: 0, sign: "⊘", words: "revert blocked" },
  reverting: { order: 1, sign: "↩", words: "reverting" },
  guarding: { order: 2, sign: "↩", words: "rolled back" },
  near: { order: 3, sign: "▲", words: "near" },
  person: { order: 3, sign: "☞", words: "waits for a person" },
  waiting: { order: 4, sign: "◌", words: "no data" },
  locating: { order: 4, sign: "◌", words: "locating" },
  watching: { order: 5, sign: "●", words: "watched" },
  publishing: { order: 5, sign: "◇", words: "telling" },
  promote: { order: 6, sign: "✓", words: "promoted" },
  rollback: { order: 6, sign: "↩", words: "rolled back" },
  inconclusive: { order: 6, sign: "?", words: "inconclusive" },
};

export const OUTCOMES = new Set(["promote", "rollback", "inconclusive"]);

/** How far evidence is on its way to the boundary, 0 to 1 and beyond, on a logarithmic scale. */
export function way(evidence, boundary) {
  if (!(boundary > 1) || !(evidence > 1)) return 0;
  return Math.log(evidence) / Math.log(boundary);
}

/** The name of a release's state; `tick` is its last tick in short, where there was one. */
export function stateOf(view, tick) {
  const action = view.verdict?.action;
  if (action === "failed" || action === "blocked") return action;
  // The verdict, once there is one, whatever is still done about it; what was just taken back stays in sight while it is guarded.
  if (view.verdict && view.stage !== "ended") return view.verdict.outcome === "rollback" ? "guarding" : view.verdict.outcome;
  switch (view.stage) {
    case "watching":
      if (way(view.evidence, view.boundary) >= NEAR) return "near";
      if (view.waits_until) return "person";
      return tick?.gap || view.hindrances.length > 0 || view.ticks === 0 ? "waiting" : "watching";
    case "ended":
      return view.verdict?.outcome ?? "inconclusive";
    default:
      return view.stage;
  }
}

/** Whether it belongs among those of now: a revert that failed stays there when its release has ended. */
export const isOpen = (view, state) => view.stage !== "ended" || STATES[state].order === 0;
