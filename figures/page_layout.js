// Everything that is cut, overlaps or leaves the screen, as lines of text; `() => [...]` for the browser.
() => {
  const root = document.documentElement, width = root.clientWidth, faults = [];
  const words = (one) => (one.textContent ?? "").trim().replace(/\s+/g, " ").slice(0, 40);
  const name = (one) => {
    const kind = one.getAttribute("class")?.split(" ")[0];
    return one.tagName.toLowerCase() + (one.id ? `#${one.id}` : "") + (kind ? `.${kind}` : "");
  };
  if (root.scrollWidth > width) faults.push(`the page is ${root.scrollWidth} wide`);
  const scrolls = (one) => one.closest(".scroll, .arms, #list, pre");
  for (const one of document.querySelectorAll("body *")) {
    const style = getComputedStyle(one), box = one.getBoundingClientRect();
    if (!box.width || !box.height || style.visibility === "hidden" || one.closest("#list")) continue;
    if (![...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
    if (!scrolls(one) && (box.left < -1 || box.right > width + 1)) faults.push(`${name(one)} leaves the screen: ${words(one)}`);
    const clips = /hidden|clip/.test(style.overflowX + style.overflowY) || style.textOverflow === "ellipsis";
    const larger = one.scrollWidth > one.clientWidth + 1 || one.scrollHeight > one.clientHeight + 1;
    if (clips && larger) faults.push(`${name(one)} is cut: ${words(one)}`);
  }
  // A table may be scrolled on a phone, never on a desk; the navigation nowhere.
  for (const one of document.querySelectorAll(width > 1000 ? "nav, .scroll" : "nav")) {
    if (one.scrollWidth > one.clientWidth + 1) faults.push(`${name(one)} has to be scrolled: ${words(one)}`);
  }
  for (const svg of document.querySelectorAll("figure svg")) {
    const plot = svg.closest("figure"), room = plot.getBoundingClientRect();
    const boxes = [...svg.querySelectorAll("text")]
      .filter((one) => one.textContent.trim() && !one.closest('[aria-label="tip"]'))
      .map((one) => ({ one, box: one.getBoundingClientRect(), axis: one.closest('[aria-label$="tick label"]') }))
      .filter(({ box }) => box.width);
    for (const { one, box } of boxes) {
      const outside = box.left < room.left - 2 || box.right > room.right + 2 || box.top < room.top - 2;
      if (outside) faults.push(`${plot.dataset.plot}: a label is outside: ${words(one)}`);
    }
    const slanted = (one) => /rotate/.test(one.closest("[transform*=rotate]")?.getAttribute("transform") ?? "");
    const ticks = boxes.filter(({ one, axis }) => axis && !slanted(one));
    for (let at = 1; at < ticks.length; at++) {
      const [{ box: a, axis }, { one, box: b, axis: other }] = [ticks[at - 1], ticks[at]];
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (axis === other && wide > 1 && high > 3) faults.push(`${plot.dataset.plot}: labels overlap: ${words(one)}`);
    }
  }
  return [...new Set(faults)];
}
