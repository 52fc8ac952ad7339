"use strict";
// The flip browser: a filtered list of items, and one item in all precisions side by side.
const evalsuiteTexts = (() => {
  const { data, outcomes, element, title } = page;
  const tasks = data.tasks.filter((task) => task.items.length && task.arms.length);
  const section = document.getElementById("items");
  if (!tasks.length) {
    section.hidden = true;
    return () => {};
  }
  const list = document.getElementById("list");
  const detail = document.getElementById("detail");
  const count = document.getElementById("count");
  const lettersNote = document.getElementById("letters");
  const filters = document.getElementById("filters");
  const directions = { changed: "lost or gained", lost: "lost", gained: "gained", differ: "any outcome differs", all: "all items" };
  const state = { task: 0, pair: 0, direction: "changed", cause: "", search: "", groups: {}, item: null, repeat: 0 };
  let table = null;
  let rows = [];
  let shown = [];

  // --- verdicts ---------------------------------------------------------------------------------------------------
  const letters = (arm, item) => arm.outcomes.slice(item * arm.repeats, (item + 1) * arm.repeats);
  function mean(arm, item) {
    let sum = 0;
    for (let at = item * arm.repeats; at < (item + 1) * arm.repeats; at++) {
      const letter = arm.outcomes[at];
      if (".uf".includes(letter)) return null;
      sum += arm.values ? arm.values[at] : letter === "c" ? 1 : 0;
    }
    return sum / arm.repeats;
  }
  function tokens(arm, item) {
    if (!arm.tokens) return null;
    const some = arm.tokens.slice(item * arm.repeats, (item + 1) * arm.repeats).filter((one) => one !== null);
    return some.length ? some.reduce((a, b) => a + b, 0) / some.length : null;
  }
  function build() {
    const task = tasks[state.task];
    const pair = task.pairs[state.pair];
    const groups = Object.entries(task.groups);
    if (rows.task !== state.task) rows = Object.assign(task.items.map((id, item) => ({ item, id })), { task: state.task });
    rows.forEach((row, item) => {
      for (const [name, { values, codes }] of groups) row[`g_${name}`] = values[codes[item]] ?? "";
      if (pair) {
        const [old, candidate] = pair.map((at) => task.arms[at]);
        const [before, after] = [mean(old, item), mean(candidate, item)];
        row.delta = before === null || after === null ? null : after - before;
        const loser = row.delta > 0 ? old : candidate;
        row.causes = [...new Set(letters(loser, item))].filter((letter) => !"c.".includes(letter)).join("");
        row.tokens = tokens(candidate, item);
        row.more = row.tokens === null || tokens(old, item) === null ? null : row.tokens - tokens(old, item);
        row.differ = [...letters(old, item)].sort().join("") !== [...letters(candidate, item)].sort().join("");
      } else {
        row.causes = [...new Set(letters(task.arms[0], item))].filter((letter) => !"c.".includes(letter)).join("");
        row.tokens = tokens(task.arms[0], item);
      }
    });
  }
  function passes(row) {
    const { direction, cause, search, groups } = state;
    if (direction === "lost" && !(row.delta < 0)) return false;
    if (direction === "gained" && !(row.delta > 0)) return false;
    if (direction === "changed" && !row.delta) return false;
    if (direction === "differ" && !row.differ) return false;
    if (cause && !row.causes.includes(cause)) return false;
    for (const name in groups) if (groups[name] && row[`g_${name}`] !== groups[name]) return false;
    return !search || row.id.toLowerCase().includes(search);
  }

  // --- filters ----------------------------------------------------------------------------------------------------
  function select(name, words, options, value, changed) {
    const made = element("select", { name, onchange: (event) => changed(event.target.value) },
      ...options.map(([key, text]) => element("option", { value: key }, text)));
    made.value = value;
    return element("label", {}, words, made);
  }
  function drawFilters() {
    const task = tasks[state.task];
    const causes = Object.entries(outcomes).filter(([letter]) => letter !== "c" && task.arms.some((arm) => arm.outcomes.includes(letter)));
    const fields = [];
    if (tasks.length > 1) {
      fields.push(select("task", "task", tasks.map((one, at) => [at, one.task]), state.task, (value) => choose({ task: Number(value), pair: 0, groups: {}, cause: "", item: null })));
    }
    if (task.pairs.length) {
      const names = task.pairs.map(([old, candidate], at) => [at, `${task.arms[candidate].title} against ${task.arms[old].title}`]);
      fields.push(select("pair", "comparison", names, state.pair, (value) => choose({ pair: Number(value) })));
      fields.push(select("direction", "direction", Object.entries(directions), state.direction, (value) => apply({ direction: value })));
    }
    for (const [name, group] of Object.entries(task.groups)) {
      const options = [["", `every ${name}`], ...group.values.map((value) => [value, value])];
      fields.push(select(name, name, options, state.groups[name] ?? "", (value) => apply({ groups: { ...state.groups, [name]: value } })));
    }
    fields.push(select("cause", "lost through", [["", "any cause"], ...causes], state.cause, (value) => apply({ cause: value })));
    fields.push(element("label", {}, "item", element("input", {
      name: "search", type: "search", placeholder: "part of an id", value: state.search,
      oninput: (event) => apply({ search: event.target.value.trim().toLowerCase() }),
    })));
    filters.replaceChildren(...fields);
  }
  filters.addEventListener("submit", (event) => event.preventDefault());

  // --- the list ---------------------------------------------------------------------------------------------------
  function dots(arm, item) {
    const some = [...letters(arm, item)].map((letter) => element("span", {
      class: `dot ${letter === "c" ? "full" : letter === "t" ? "cut" : ""}`, style: { "--dot": `var(--o-${letter})` },
      title: outcomes[letter] ?? "not asked",
    }));
    const words = [...letters(arm, item)].map((letter) => outcomes[letter] ?? "not asked").join(", ");
    return element("span", { class: "dots", role: "img", "aria-label": words }, ...some);
  }
  const escaped = (text) => element("span", {}, text).innerHTML;
  const signed = (cell, digits) => {
    const value = cell.getValue();
    return value == null ? "–" : (value > 0 ? "+" : "") + value.toLocaleString("en", { maximumFractionDigits: digits });
  };
  function columns() {
    const task = tasks[state.task];
    const wide = list.clientWidth > 600;
    lettersNote.hidden = wide;
    lettersNote.textContent = task.arms.map((arm, at) => `${"ABCDEFGHIJKL"[at] ?? at}: ${arm.title}`).join(", ");
    const found = [{ title: "item", field: "id", formatter: "plaintext", minWidth: wide ? 90 : 76, widthGrow: 1 }];
    if (wide) for (const name of Object.keys(task.groups)) found.push({ title: escaped(name), field: `g_${name}`, formatter: "plaintext", minWidth: 90, widthGrow: 1 });
    task.arms.forEach((arm, at) => found.push({
      title: wide ? escaped(arm.title) : "ABCDEFGHIJKL"[at] ?? String(at), headerSort: false, minWidth: wide ? 80 : 42, widthGrow: Math.min(3, 0.6 + arm.repeats / 8),
      formatter: (cell) => dots(arm, cell.getData().item),
    }));
    if (task.pairs.length) found.push({ title: "change", field: "delta", hozAlign: "right", headerHozAlign: "right", width: wide ? 104 : 84, headerSort: wide, formatter: (cell) => signed(cell, 2) });
    if (wide && rows.some((row) => row.tokens != null)) {
      found.push({ title: "tokens", field: "tokens", hozAlign: "right", headerHozAlign: "right", width: 100, formatter: (cell) => (cell.getValue() == null ? "–" : Math.round(cell.getValue()).toLocaleString("en")) });
      if (task.pairs.length) found.push({ title: "more tokens", field: "more", hozAlign: "right", headerHozAlign: "right", width: 146, formatter: (cell) => signed(cell, 0) });
    }
    return found;
  }
  function drawTable() {
    const made = { item: state.item };
    if (table) table.destroy();
    shown = rows.filter(passes);
    table = new Tabulator(list, {
      data: rows, index: "item", columns: columns(), layout: "fitColumns", height: "24rem", selectableRows: 1,
      placeholder: "no item passes these filters", columnDefaults: { headerSortTristate: true }, keybindings: false,
    });
    table.on("rowClick", (_, row) => open(row.getData().item));
    table.on("dataSorted", () => { order = null; });
    table.on("tableBuilt", () => {
      table.setFilter(passes);
      if (made.item !== null) mark(made.item);
    });
    said();
  }
  let order = null; // items in the list's order, sorted as the person sorted it
  function inOrder() {
    order ??= table.getData("active").map((row) => row.item);
    return order;
  }
  function said() {
    order = null;
    const task = tasks[state.task];
    count.textContent = `${shown.length.toLocaleString("en")} of ${task.items.length.toLocaleString("en")} items`;
  }
  function apply(changes) {
    Object.assign(state, changes);
    shown = rows.filter(passes);
    table.setFilter(passes);
    said();
    remember();
  }
  function choose(changes) {
    const before = state.task;
    Object.assign(state, changes);
    build();
    drawFilters();
    if (state.task === before) {
      shown = rows.filter(passes);
      table.setFilter(passes);
      table.redraw(true);
      said();
    } else {
      drawTable();
    }
    if (state.item === null) close();
    else draw();
    remember();
  }
  function mark(item) {
    table.deselectRow();
    const row = table.getRow(item);
    if (row) {
      row.select();
      table.scrollToRow(row, "nearest", false).catch(() => {});
    }
  }

  // --- one item ---------------------------------------------------------------------------------------------------
  const waiting = new Map();
  const texts = new Map();
  function load(task, arm, number) {
    const key = `${task.task}|${arm}|${number}`;
    if (!waiting.has(key)) {
      waiting.set(key, new Promise((resolve) => {
        const path = ["texts", task.task, `${task.arms[arm].model}-${number}.js`].map(encodeURIComponent).join("/");
        const script = element("script", { src: path, charset: "utf-8" });
        script.onload = () => resolve(texts.get(key) ?? "stale");
        script.onerror = () => resolve("missing");
        document.head.append(script);
      }));
    }
    return waiting.get(key);
  }
  function command() {
    const task = tasks[state.task];
    const plain = /^[\w.-]+$/.test(task.items[state.item]);
    const item = plain ? `item=${task.items[state.item]}` : `'item="${task.items[state.item].replaceAll('"', '\\"').replaceAll("'", `'\\''`)}"'`;
    return `evalsuite show run=${task.run} task=${task.task} ${item}`;
  }
  async function open(item) {
    state.item = item;
    state.repeat = 0;
    mark(item);
    remember();
    await draw();
    detail.scrollIntoView({ block: "nearest" });
  }
  function close() {
    state.item = null;
    detail.hidden = true;
    detail.replaceChildren();
    remember();
  }
  function firstDifference(one, other) {
    const end = Math.min(one.length, other.length);
    let at = 0;
    while (at < end && one.charCodeAt(at) === other.charCodeAt(at)) at++;
    return at === one.length && at === other.length ? -1 : at;
  }
  function passage(text, reference) {
    const made = element("pre", { tabindex: "0" });
    const at = reference === null ? -1 : firstDifference(text, reference);
    if (at < 0) {
      made.textContent = text;
      return made;
    }
    const start = Math.max(0, text.lastIndexOf(" ", at) + 1, text.lastIndexOf("\n", at) + 1);
    const rest = text.slice(start);
    const word = rest.match(/^\s*\S*/)[0] || rest.slice(0, 1);
    made.append(element("span", { class: "same" }, text.slice(0, start)),
      element("mark", { title: "the first difference from the baseline" }, word || "∅"), rest.slice(word.length));
    return made;
  }
  function facts(arm, task, row) {
    const at = state.item * arm.repeats + Math.min(state.repeat, arm.repeats - 1);
    const entries = [["outcome", outcomes[arm.outcomes[at]] ?? "not asked"]];
    if (arm.values?.[at] != null) entries.push(["score", String(arm.values[at])]);
    if (row?.[2] != null) entries.push(["answer", row[3] ? `${row[2]} (${row[3]})` : row[2]]);
    if (arm.tokens?.[at] != null) entries.push(["tokens", arm.tokens[at].toLocaleString("en")]);
    if (row?.[6] != null) entries.push(["seconds", row[6].toFixed(1)]);
    if (row?.[5]) entries.push(["finish", row[5]]);
    if (row?.[4]) entries.push(["note", row[4]]);
    return element("dl", {}, ...entries.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  }
  async function draw() {
    const task = tasks[state.task];
    const { item, repeat } = state;
    const numbers = task.arms.map((arm, at) => task.shards[at]?.[Math.min(repeat, arm.repeats - 1)]?.[item] ?? null);
    const found = await Promise.all(numbers.map((number, at) => (number === null ? null : load(task, at, number))));
    if (state.item !== item || state.repeat !== repeat) return;
    const own = found.map((shard, at) => (shard && typeof shard === "object" ? shard[task.items[item]]?.[Math.min(repeat, task.arms[at].repeats - 1)] : null));
    const baseline = task.pairs[state.pair]?.[0] ?? 0;
    const repeats = Math.max(...task.arms.map((arm) => arm.repeats));
    const where = Object.entries(task.groups).map(([name, group]) => `${name} ${group.values[group.codes[item]] ?? "–"}`);
    const head = element("div", { class: "tools" }, element("strong", {}, [task.items[item], ...where].join(", ")),
      element("code", {}, command()), element("button", { type: "button", onclick: copy }, "copy command"),
      element("button", { type: "button", onclick: close, "aria-label": "close" }, "✕"));
    const parts = [head];
    if (repeats > 1) {
      parts.push(element("p", { class: "tools" }, "repeat ", ...Array.from({ length: repeats }, (_, at) => element("button", {
        type: "button", "aria-pressed": String(at === repeat), disabled: at === repeat, onclick: () => { state.repeat = at; draw(); },
      }, String(at + 1)))));
    }
    if (task.gated) parts.push(element("p", { class: "note" }, "The items of this benchmark are gated, so their texts are not part of this report."));
    else if (found.includes("missing")) parts.push(element("p", { class: "warning" }, "The texts are missing: the folder texts/ must lie beside this page. The command above shows them where the run is."));
    else if (found.includes("stale")) parts.push(element("p", { class: "warning" }, "The folder texts/ belongs to another report than this page."));
    else if (own.every((row) => !row)) parts.push(element("p", { class: "note" }, "The texts of this item are not part of this report; the command above shows them."));
    const arms = task.arms.map((arm, at) => {
      const made = element("div", { class: "arm" }, element("h4", {}, arm.title, " "), facts(arm, task, own[at]));
      made.querySelector("h4").append(dots(arm, item));
      const row = own[at];
      if (row) {
        for (const [place, words] of [[1, "reasoning"], [0, "answer text"]]) {
          const text = row[place];
          const reference = at === baseline || !own[baseline] ? null : own[baseline][place];
          if (text || reference) {
            const same = reference !== null && firstDifference(text, reference) < 0 ? `, the same as ${task.arms[baseline].title}'s` : "";
            made.append(element("h5", {}, `${words}, ${text.length.toLocaleString("en")} characters${same}`), passage(text, reference));
          }
        }
      }
      return made;
    });
    detail.replaceChildren(...parts, element("div", { class: "arms" }, ...arms));
    detail.hidden = false;
    for (const place of detail.querySelectorAll("mark")) {
      const box = place.closest("pre");
      box.scrollTop = Math.max(0, place.offsetTop - 80);
    }
  }
  async function copy() {
    const words = command();
    try {
      await navigator.clipboard.writeText(words);
    } catch {
      const area = element("textarea", { style: { position: "fixed", opacity: "0" } }, words);
      detail.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    const button = detail.querySelector(".tools button");
    if (button) button.textContent = "copied";
  }

  // --- keyboard ---------------------------------------------------------------------------------------------------
  function step(by) {
    const items = inOrder();
    if (!items.length) return;
    const at = items.indexOf(state.item);
    const next = items[at < 0 ? (by > 0 ? 0 : items.length - 1) : Math.min(items.length - 1, Math.max(0, at + by))];
    if (detail.hidden) {
      state.item = next;
      mark(next);
      remember();
    } else {
      open(next);
    }
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest("input, select, textarea");
    if (event.key === "Escape") {
      if (typing) typing.blur();
      else close();
    } else if (typing) {
      return;
    } else if (event.key === "/") {
      filters.elements.search.focus();
    } else if (event.key === "j" || (event.key === "ArrowDown" && event.target.closest("#list"))) {
      step(1);
    } else if (event.key === "k" || (event.key === "ArrowUp" && event.target.closest("#list"))) {
      step(-1);
    } else if (event.key === "Enter" && event.target.closest("#list") && state.item !== null) {
      open(state.item);
    } else if (event.key === "c" && !detail.hidden) {
      copy();
    } else {
      return;
    }
    event.preventDefault();
  });

  // --- the address remembers what is shown ------------------------------------------------------------------------
  function remember() {
    const task = tasks[state.task];
    const words = new URLSearchParams({ task: task.task, pair: state.pair, direction: state.direction });
    if (state.cause) words.set("cause", state.cause);
    for (const [name, value] of Object.entries(state.groups)) if (value) words.set(`group.${name}`, value);
    if (state.item !== null) words.set("item", task.items[state.item]);
    history.replaceState(null, "", `#items?${words}`);
  }
  function recall() {
    if (!location.hash.startsWith("#items?")) return;
    const words = new URLSearchParams(location.hash.slice("#items?".length));
    state.task = Math.max(0, tasks.findIndex((task) => task.task === words.get("task")));
    const task = tasks[state.task];
    state.pair = Math.min(Math.max(0, Number(words.get("pair")) || 0), Math.max(0, task.pairs.length - 1));
    if (directions[words.get("direction")]) state.direction = words.get("direction");
    if (outcomes[words.get("cause")]) state.cause = words.get("cause");
    for (const name of Object.keys(task.groups)) {
      const value = words.get(`group.${name}`);
      if (task.groups[name].values.includes(value)) state.groups[name] = value;
    }
    const item = task.items.indexOf(words.get("item"));
    state.item = item < 0 ? null : item;
  }
  recall();
  if (!tasks[state.task].pairs.length) state.direction = "all";
  build();
  drawFilters();
  drawTable();
  if (state.item !== null) {
    draw();
    section.scrollIntoView();
  }
  page.items = { state, apply, choose, open, rows: () => shown };

  return (task, arm, stamp, number, content) => {
    if (stamp === data.stamp) texts.set(`${task}|${arm}|${number}`, content);
  };
})();
