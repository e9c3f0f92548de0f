// What all pages share: elements made of text, and numbers for people.

/** An element. Children are elements or text; text stays text, whatever it says. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Writes only what is not there already, so that nothing is laid out anew in vain. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setClass(node, name) {
  if (node.className !== name) node.className = name;
}

export const two = (number) => String(number).padStart(2, "0");
export const clock = (at) => {
  const date = new Date(at * 1000);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
};
export const dated = (at) => {
  const date = new Date(at * 1000);
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${clock(at)}`;
};

/** Seconds in the largest unit that says enough. */
export function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 100) return `${whole}\u00a0s`;
  if (whole < 100 * 60) return `${Math.floor(whole / 60)}\u00a0min`;
  if (whole < 48 * 3600) return `${Math.floor(whole / 3600)}\u00a0h\u00a0${Math.floor((whole % 3600) / 60)}\u00a0min`;
  return `${Math.floor(whole / 86400)}\u00a0d`;
}

/** A number with three digits that count. */
export function amount(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e6) return value.toExponential(0).replace("e+", "e");
  if (size >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString("en").replace(/,/g, "\u202f");
  return String(Number(value.toPrecision(2)));
}

export const percent = (share) => (share === null || share === undefined ? "–" : `${amount(100 * share)} %`);

/** How an arm is named: the version if it has one, else whatever tells it. */
export function armName(arm) {
  const said = arm.version ?? arm.subset ?? arm.service ?? arm.workload;
  return said ?? (Object.entries(arm.labels ?? {}).map(([key, value]) => `${key}=${value}`).join(",") || "?");
}

/** One sentence's end, whether it has it already or not. */
export const stopped = (text) => `${text.replace(/\.+$/, "")}.`;
