"use strict";
// What the other two scripts share: the data, colours, small helpers; and the static tables' sorting.
const page = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const content = data.content;
  const outcomes = {
    c: "correct", w: "wrong", t: "truncated", n: "no answer", r: "refused", u: "ungraded", f: "failed",
  };
  const models = [...new Set(content.cells.map((cell) => cell.model))];

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (name === "style") for (const [key, one] of Object.entries(value)) made.style.setProperty(key, one);
      else if (value === true) made.setAttribute(name, "");
      else if (value !== false && value != null) made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  }

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const modelColour = (model) => colour(`--c${models.indexOf(model) % 7}`);
  const title = (model) => data.titles[model] ?? model;
  const benchmark = (task) => data.benchmarks[task] ?? task;
  // As in stats/rounding.py: the decimal number that the float approximates, ties away from zero.
  const round = (value, digits) => {
    const unit = 10n ** BigInt(10 - digits); // of 12 decimals, two are those of percent
    const units = (BigInt(Math.abs(value).toFixed(12).replace(".", "")) + unit / 2n) / unit;
    const text = String(units).padStart(digits + 1, "0");
    return (value < 0 && units ? "-" : "") + (digits ? `${text.slice(0, -digits)}.${text.slice(-digits)}` : text);
  };
  const percent = (value, digits = 1) => (value == null ? "–" : round(value, digits));
  const points = (value, digits = 2) => (value == null ? "–" : (Number(round(value, digits)) > 0 ? "+" : "") + round(value, digits));
  const change = (value, ci) => (ci ? `${points(value)} [${points(ci[0])}, ${points(ci[1])}]` : points(value));

  for (const table of document.querySelectorAll("table.sortable")) new Tablesort(table);

  const nav = document.querySelector("nav");
  for (const section of document.querySelectorAll("main > section[id]")) {
    const words = section.dataset.nav ?? section.querySelector("h2").textContent;
    if (words) nav.append(element("a", { href: `#${section.id}` }, words));
  }

  const redraw = [];
  function themeChanged() {
    for (const draw of redraw) draw();
  }
  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    themeChanged();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", themeChanged);
  matchMedia("print").addEventListener("change", themeChanged);

  return { data, content, outcomes, models, element, colour, modelColour, title, benchmark, percent, points, change, redraw };
})();
