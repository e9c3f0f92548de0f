// A page in a file: the watches that it holds as data, drawn where it has a place for each. Everything in words is there already.

import { drawCharts, drawLegs, drawPods } from "./watch.js";

const watches = JSON.parse(document.getElementById("watches").textContent);
const places = [...document.querySelectorAll("section.watch")];
const groups = places.map(() => ({ at: null, points: [] }));
let width = 0;

function draw(place, number) {
  const { course, findings, leg, boundary, steps } = watches[number];
  const part = (name) => place.querySelector(`.${name}`);
  part("legs-part").hidden = !drawLegs(part("legs"), part("legs-key"), { findings, convicting: leg, going: [], width });
  drawCharts(part("charts"), { course, boundary, steps, width, group: groups[number] });
  part("pods-part").hidden = !drawPods(part("pods-told"), course);
}

new ResizeObserver(([{ contentRect }]) => {
  if (Math.abs(contentRect.width - width) < 1) return;
  width = Math.max(240, Math.floor(contentRect.width));
  places.forEach(draw);
}).observe(document.querySelector("main"));
