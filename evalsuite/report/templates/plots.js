"use strict";
// The page's plots, drawn by Observable Plot from what comparison.json says. Each returns an SVG for a width.
(() => {
  const { content, data, models, element, colour, modelColour, title, benchmark, percent, points, change } = page;
  const compared = content.rows.filter((row) => row.delta !== null);
  const symbols = ["times", "circle", "square", "diamond", "triangle", "star", "wye"];
  const symbol = (model) => symbols[models.indexOf(model) % symbols.length];
  const dashes = ["", "7 3", "2 3", "9 3 2 3", "4 4", "1 4", "12 3"];
  const causeColours = { wrong: "--o-w", truncated: "--o-t", no_answer: "--o-n", refused: "--o-r" };
  const causeColour = (cause) => colour(causeColours[cause] ?? "--o-f");
  const several = content.rows.length && new Set(content.rows.map((row) => row.task)).size > 1;
  const label = (row) => (several ? `${title(row.candidate)} · ${benchmark(row.task)}` : title(row.candidate));
  const ruler = document.createElement("canvas").getContext("2d");
  ruler.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  const widthOf = (text) => ruler.measureText(text).width;
  // The text in lines of at most so many pixels; a word is split only where it is wider than that.
  function lines(text, most) {
    const made = [""];
    for (const word of text.split(/(?<=[\s_·/-])/)) {
      for (const part of widthOf(word) > most ? word : [word]) {
        if (made.at(-1) && widthOf((made.at(-1) + part).trimEnd()) > most) made.push("");
        made[made.length - 1] += part;
      }
    }
    return made.map((line) => line.trim());
  }
  // The vertical axis of named rows: its room, and rows high enough for labels in several lines.
  function rowsAxis(labels, width, row) {
    const texts = new Map(labels.map((label) => [label, lines(label, Math.min(260, 0.38 * width))]));
    const all = [...texts.values()];
    const most = Math.max(0, ...all.map((some) => some.length));
    return {
      room: 16 + Math.max(0, ...all.flat().map(widthOf)), row: Math.max(row, 13 * most + 6),
      y: { domain: labels, label: null, tickSize: 0, tickFormat: (label) => texts.get(label).join("\n") },
    };
  }
  const base = (width, more) => ({
    width, marginBottom: 42, style: { fontSize: "12px", background: "transparent", color: colour("--ink"), fontFamily: "inherit" }, ...more,
  });
  const ticks = (width) => Math.max(3, Math.min(8, Math.floor(width / 90)));
  const zero = () => Plot.ruleX([0], { stroke: colour("--ink"), strokeWidth: 1.2 });
  const grid = () => Plot.gridX({ stroke: colour("--line"), strokeOpacity: 1 });

  function forest(width) {
    const rows = compared.map((row) => ({ ...row, label: label(row) }));
    const labels = rows.map((row) => row.label);
    const bounded = rows.filter((row) => row.ci95);
    const narrow = rows.filter((row) => row.ci90);
    const margins = rows.filter((row) => row.margin !== null);
    const axis = rowsAxis(labels, width, 34);
    return Plot.plot(base(width, {
      marginLeft: axis.room, marginRight: 24, height: 72 + axis.row * rows.length,
      x: { label: "percentage points", labelAnchor: "center", labelOffset: 36, domain: reach(rows), ticks: ticks(width) }, y: axis.y,
      marks: [
        grid(), zero(),
        Plot.tickX(margins, { x: (row) => -100 * row.margin, y: "label", stroke: colour("--accent"), strokeWidth: 5,
          strokeOpacity: 0.65, title: (row) => `margin ${percent(row.margin)} pt` }),
        Plot.ruleY(bounded, { y: "label", x1: (row) => 100 * row.ci95[0], x2: (row) => 100 * row.ci95[1],
          stroke: (row) => modelColour(row.candidate), strokeWidth: 1.5 }),
        Plot.ruleY(narrow, { y: "label", x1: (row) => 100 * row.ci90[0], x2: (row) => 100 * row.ci90[1],
          stroke: (row) => modelColour(row.candidate), strokeWidth: 4 }),
        Plot.dot(rows, { y: "label", x: (row) => 100 * row.delta, fill: (row) => modelColour(row.candidate), r: 5.5,
          symbol: (row) => symbol(row.candidate), stroke: colour("--paper"), strokeWidth: 1,
          channels: { change: { value: (row) => change(row.delta, row.ci95), label: "" } }, tip: tip("change") }),
      ],
      symbol: { type: "identity" }, color: { type: "identity" },
    }));
  }

  // The horizontal axis of a forest: everything drawn, and some room beside it and beyond zero.
  function reach(rows) {
    const ends = rows.flatMap((row) => [row.delta, ...(row.ci95 ?? []), row.margin === null ? 0 : -row.margin, 0]).map((one) => 100 * one);
    const [low, high] = d3.extent(ends);
    const pad = 0.06 * Math.max(high - low, 0.1);
    return [low - pad, high + pad];
  }

  function tip(...shown) {
    const format = { x: false, y: true, fill: false, symbol: false, stroke: false, fx: false, fy: false };
    for (const name of shown) format[name] = true;
    return { format, fill: colour("--panel"), stroke: colour("--line"), fontSize: 12 };
  }

  function scores(width) {
    const cells = content.cells.filter((cell) => cell.score !== null)
      .map((cell) => ({ ...cell, label: `${cell.title} · ${benchmark(cell.task)}` }));
    const axis = rowsAxis(cells.map((cell) => cell.label), width, 30);
    return Plot.plot(base(width, {
      marginLeft: axis.room, height: 64 + axis.row * cells.length, y: axis.y,
      x: { label: "score, %", labelAnchor: "center", labelOffset: 36, inset: 12, ticks: ticks(width) },
      marks: [
        grid(),
        Plot.ruleY(cells.filter((cell) => cell.ci95), { y: "label", x1: (cell) => 100 * cell.ci95[0],
          x2: (cell) => 100 * cell.ci95[1], stroke: colour("--c1"), strokeWidth: 2 }),
        Plot.dot(cells, { y: "label", x: (cell) => 100 * cell.score, fill: colour("--c1"), r: 5 }),
      ],
    }));
  }

  // The changes on a group's values as the tables show them: values with fewer than ten items only together.
  const folded = (row, group) => [
    ...row.groups[group].filter((part) => part.n >= 10), ...(row.small_groups[group] ? [row.small_groups[group]] : []),
  ];

  function heat(width, place) {
    const [task, group] = place.split("/");
    const rows = compared.filter((row) => row.task === task && row.groups[group]);
    const z = (part) => (part.delta === 0 ? 0 : part.stderr ? part.delta / part.stderr : null);
    const cells = rows.flatMap((row) => folded(row, group).map((part) => ({ ...part, z: z(part), model: title(row.candidate) })));
    const worst = d3.rollup(cells, (some) => d3.min(some, (one) => one.delta), (one) => one.value);
    const values = [...worst.keys()].sort((a, b) => worst.get(a) - worst.get(b) || d3.ascending(a, b));
    const reach = Math.max(4, d3.max(cells, (one) => Math.abs(one.z ?? 0))); // as HEAT_LIMIT in plots/changes.py
    const names = rows.map((row) => title(row.candidate));
    const axis = rowsAxis(values, width, 25);
    const column = Math.min(Math.max(110, 16 + Math.max(...names.map(widthOf))), (width - axis.room - 20) / names.length);
    const heads = new Map(names.map((name) => [name, lines(name, column - 6)]));
    const top = 18 + 13 * Math.max(...[...heads.values()].map((some) => some.length));
    return Plot.plot(base(axis.room + column * names.length + 20, {
      marginLeft: axis.room, marginTop: top, marginBottom: 8, marginRight: 20,
      height: top + 14 + axis.row * values.length, padding: 0.04, y: axis.y,
      x: { domain: names, label: null, axis: "top", tickSize: 0, tickFormat: (name) => heads.get(name).join("\n") },
      color: { type: "diverging", scheme: "PuOr", reverse: true, domain: [-reach, reach], pivot: 0 },
      marks: [
        Plot.cell(cells.filter((one) => one.z !== null), { x: "model", y: "value", fill: "z",
          title: (one) => `${one.value}, ${one.model}: ${change(one.delta, one.ci95)} pt` }),
        Plot.cell(cells.filter((one) => one.p_page !== null && one.p_page < 0.05),
          { x: "model", y: "value", stroke: colour("--ink"), strokeWidth: 2, fill: "none" }),
        Plot.text(cells, { x: "model", y: "value", text: (one) => (one.z === null ? "–" : points(one.z / 100, 1)), fontSize: 11,
          fill: (one) => (one.z === null ? colour("--ink") : Math.abs(one.z) > 0.72 * reach ? "white" : "black") }),
      ],
    }));
  }

  function outcomes(width) {
    const parts = compared.flatMap((row) => Object.entries(row.causes)
      .map(([cause, part]) => ({ cause, part: 100 * part, label: label(row), row })));
    const shown = [...new Set(parts.filter((one) => one.part !== 0).map((one) => one.cause))];
    const axis = rowsAxis(compared.map(label), width, 30);
    const chart = Plot.plot(base(width, {
      marginLeft: axis.room, marginRight: 24, height: 64 + axis.row * compared.length,
      x: { label: "percentage points", labelAnchor: "center", labelOffset: 36, inset: 12, ticks: ticks(width) },
      y: axis.y, color: { type: "identity" },
      marks: [
        grid(),
        Plot.barX(parts.filter((one) => one.part !== 0), { x: "part", y: "label", fill: (one) => causeColour(one.cause), insetTop: 4, insetBottom: 4,
          title: (one) => `${one.cause.replaceAll("_", " ")}: ${points(one.part / 100)} pt` }),
        zero(),
        Plot.dot(compared, { x: (row) => 100 * row.delta, y: label, symbol: "diamond", fill: colour("--ink"),
          stroke: colour("--paper"), r: 5, title: (row) => change(row.delta, row.ci95) }),
      ],
    }));
    return withSwatches(chart, shown.map((cause) => [cause.replaceAll("_", " "), causeColour(cause)]));
  }

  function budgets(width, task) {
    const found = content.series[task].budgets;
    const lines = Object.entries(found.scores).flatMap(([model, row]) =>
      row.map((score, at) => ({ model, budget: found.budgets[at], score: 100 * score })));
    const chart = Plot.plot(base(width, {
      height: 250, marginTop: 24, marginLeft: 48, x: { type: "log", base: 2, label: "token budget", ticks: found.budgets.filter((_, at) => at % Math.ceil(found.budgets.length / (width / 60)) === 0),
        tickFormat: (value) => value.toLocaleString("en") }, y: { label: "score, %", grid: false, nice: true },
      marks: [
        Plot.gridY({ stroke: colour("--line"), strokeOpacity: 1 }),
        ...Object.keys(found.scores).flatMap((model) => [
          Plot.lineY(lines.filter((one) => one.model === model), { x: "budget", y: "score", stroke: modelColour(model),
            strokeWidth: 1.8, strokeDasharray: dashes[models.indexOf(model) % 7] }),
          Plot.dot(lines.filter((one) => one.model === model), { x: "budget", y: "score", fill: modelColour(model),
            symbol: symbol(model), r: 3,
            title: (one) => `${title(model)}, ${one.budget.toLocaleString("en")} tokens: ${percent(one.score / 100)} %` }),
        ]),
      ],
    }));
    return withSwatches(chart, Object.keys(found.scores).map((model) => [title(model), modelColour(model)]));
  }

  function lengths(width, task) {
    const found = content.series[task].lengths;
    const order = ["correct", "wrong", "truncated", "no_answer", "refused", "ungraded", "failed"];
    const present = order.filter((name) => Object.values(found.counts).some((parts) => parts[name]));
    const steps = Object.entries(found.counts).flatMap(([model, parts]) =>
      Object.entries(parts).flatMap(([outcome, row]) =>
        row.map((count, at) => ({ model, outcome: outcome.replaceAll("_", " "), count, x: Math.sqrt(found.edges[at] * found.edges[at + 1]) }))));
    const chart = Plot.plot(base(width, {
      height: 70 + 90 * present.length, marginTop: 24, marginLeft: 48, marginRight: 16 + Math.max(...present.map(widthOf)), x: { type: "log", label: "generated tokens", ticks: 6, tickFormat: (value) => value.toLocaleString("en") },
      y: { label: "answers", ticks: 3 }, fy: { domain: present.map((name) => name.replaceAll("_", " ")), label: null },
      marks: [
        ...Object.keys(found.counts).map((model) => Plot.lineY(steps.filter((one) => one.model === model),
          { x: "x", y: "count", fy: "outcome", stroke: modelColour(model), strokeWidth: 1.6, curve: "step", strokeDasharray: dashes[models.indexOf(model) % 7] })),
        Plot.frame({ stroke: colour("--line") }),
      ],
    }));
    return withSwatches(chart, Object.keys(found.counts).map((model) => [title(model), modelColour(model)]));
  }

  function slots(width) {
    const lines = data.slots.flatMap((use) => use.seconds.map((second, at) => ({ model: use.model, minute: second / 60, n: use.in_flight[at] })));
    const hours = data.slots[0].seconds.at(-1) > 7200;
    const chart = Plot.plot(base(width, {
      height: 210, marginTop: 24, marginLeft: 48, x: { label: hours ? "busy hours" : "busy minutes" }, y: { label: "requests in flight", zero: true },
      marks: [
        Plot.gridY({ stroke: colour("--line"), strokeOpacity: 1 }),
        Plot.ruleX(data.slots[0].windows.slice(1), { x: (second) => second / (hours ? 3600 : 60), strokeDasharray: "2 3", stroke: colour("--soft") }),
        ...data.slots.map((use) => Plot.lineY(lines.filter((one) => one.model === use.model),
          { x: (one) => (hours ? one.minute / 60 : one.minute), y: "n", stroke: modelColour(use.model), strokeWidth: 1.4 })),
      ],
    }));
    return withSwatches(chart, data.slots.map((use) => [use.title, modelColour(use.model)]));
  }

  function withSwatches(chart, entries) {
    const swatches = entries.map(([words, value]) => element("span", { style: { "--swatch": value } }, words));
    return element("div", {}, element("div", { class: "swatches" }, ...swatches), chart);
  }

  const holder = document.getElementById("series");
  for (const [task, found] of Object.entries(content.series)) {
    for (const [name, words] of [["lengths", "lengths"], ["budgets", "budgets"]]) {
      if (found[name]) {
        holder.append(element("figure", { class: "plot", "data-plot": name, "data-task": task },
          element("div", { class: "canvas" }), element("figcaption", {}, `${benchmark(task)}: ${words}`)));
      }
    }
  }

  const kinds = { forest, scores, heat, outcomes, budgets, lengths, slots };
  function draw(figure) {
    const canvas = figure.querySelector(".canvas");
    const width = Math.max(280, Math.min(canvas.clientWidth || 700, 900));
    canvas.replaceChildren(kinds[figure.dataset.plot](width, figure.dataset.task));
    figure.dataset.width = canvas.clientWidth;
  }
  // Plots are drawn when they come near the screen, and again when the width or the theme changes.
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) {
        near.unobserve(entry.target);
        draw(entry.target);
        resized.observe(entry.target.querySelector(".canvas"));
      }
    }
  }, { rootMargin: "800px" });
  const resized = new ResizeObserver((entries) => {
    for (const entry of entries) {
      const figure = entry.target.parentElement;
      if (Math.abs(figure.dataset.width - entry.target.clientWidth) > 2) draw(figure);
    }
  });
  const figures = document.querySelectorAll("figure.plot");
  for (const figure of figures) near.observe(figure);
  page.redraw.push(() => figures.forEach((figure) => figure.dataset.width && draw(figure)));
  addEventListener("beforeprint", () => {
    for (const fold of document.querySelectorAll("details")) fold.open = true;
    figures.forEach(draw);
  });
})();
