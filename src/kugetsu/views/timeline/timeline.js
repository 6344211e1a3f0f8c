(() => {
  "use strict";
  const svg = document.querySelector("#place svg"), told = document.getElementById("told");
  let left = 96, right = 1188, wide = right - left;
  const least = 1e-5, bottom = +svg.dataset.bottom;
  const placed = [...svg.querySelectorAll("[data-a]:not(.tick):not(.time)")];
  const since = +svg.dataset.since, until = +svg.dataset.until, offset = +svg.dataset.offset, top = 36;
  const steps = [1, 10, 100, 1e3, 5e3, 1e4, 3e4, 6e4, 3e5, 6e5, 18e5, 36e5, 72e5, 216e5, 432e5, 864e5, 6048e5];
  const marks = document.createElementNS(svg.namespaceURI, "g");
  svg.querySelectorAll(".tick, .time").forEach(e => e.remove());
  svg.insertBefore(marks, svg.querySelector("g"));
  let from = 0, to = 1;
  const x = share => left + (share - from) / (to - from) * wide;
  const mark = (name, kind, at, text) => {
    const e = document.createElementNS(svg.namespaceURI, name);
    e.setAttribute("class", kind);
    for (const [key, value] of Object.entries(at)) e.setAttribute(key, value);
    if (text) e.textContent = text;
    marks.append(e);
  };
  const axis = () => {
    const first = since + from * (until - since), span = (to - from) * (until - since);
    const most = Math.max(Math.floor(wide / 90), 2), step = steps.find(one => span / one <= most) || steps[steps.length - 1];
    marks.replaceChildren();
    for (let at = Math.ceil((first + offset) / step) * step - offset; at <= first + span; at += step) {
      const place = x((at - since) / (until - since)), clock = new Date(at + offset).toISOString();
      const text = step < 1e3 ? clock.slice(11, 23) : step < 6e4 ? clock.slice(11, 19) : step < 864e5 ? clock.slice(11, 16) : clock.slice(5, 10);
      mark("line", "tick", { x1: place, x2: place, y1: top, y2: bottom });
      mark("text", "time", { x: place, y: top - 6 }, text);
    }
  };
  const draw = () => {
    axis();
    for (const e of placed) {
      const a = +e.dataset.a, b = e.dataset.b === undefined ? a : +e.dataset.b;
      const out = b < from || a > to;
      e.style.display = out ? "none" : "";
      if (out) continue;
      const start = Math.max(x(a), left), end = Math.min(x(b), right);
      if (e.tagName === "rect") { e.setAttribute("x", start); e.setAttribute("width", Math.max(end - start, 1.5)); }
      else if (e.classList.contains("in")) {
        e.setAttribute("x", start + 4);
        e.style.display = end - start > 8 * e.textContent.length ? "" : "none";
      } else e.setAttribute("x", x(a));
    }
  };
  const show = (a, b) => {
    const span = Math.min(Math.max(b - a, least), 1);
    from = Math.min(Math.max(a, 0), 1 - span); to = from + span; draw();
  };
  const fit = () => {
    const width = Math.max(svg.parentNode.clientWidth, 300);
    left = width < 700 ? 84 : 96; right = width - 12; wide = right - left;
    svg.setAttribute("width", width);
    svg.setAttribute("viewBox", `0 0 ${width} ${bottom + 8}`);
    svg.querySelectorAll(".lane").forEach(e => e.setAttribute("x", left - 8));
    svg.querySelectorAll(".more").forEach(e => e.setAttribute("x", left));
    draw();
  };
  const share = event => {
    const box = svg.getBoundingClientRect();
    return from + Math.min(Math.max((event.clientX - box.left - left) / wide, 0), 1) * (to - from);
  };
  const zoom = (at, factor) => show(at - (at - from) * factor, at + (to - at) * factor);
  const tell = group => { told.textContent = group ? group.querySelector("title").textContent : ""; };
  svg.addEventListener("wheel", event => { event.preventDefault(); zoom(share(event), event.deltaY > 0 ? 1.25 : 0.8); }, { passive: false });
  const held = new Map();
  let grip = null, moved = 0, apart = 0;
  const distance = () => { const [a, b] = [...held.values()]; return Math.abs(a.clientX - b.clientX); };
  svg.addEventListener("pointerdown", event => {
    held.set(event.pointerId, event);
    grip = share(event); moved = 0;
    if (held.size === 2) apart = distance();
  });
  svg.addEventListener("pointermove", event => {
    if (!held.has(event.pointerId)) return;
    moved += Math.abs(event.clientX - held.get(event.pointerId).clientX);
    held.set(event.pointerId, event);
    if (held.size === 2) {
      const now = distance();
      if (apart > 8 && now > 8) zoom((share([...held.values()][0]) + share([...held.values()][1])) / 2, apart / now);
      apart = now;
    } else if (moved > 4) {
      if (!svg.hasPointerCapture(event.pointerId)) svg.setPointerCapture(event.pointerId);
      const by = grip - share(event);
      show(from + by, to + by);
    }
  });
  const release = event => { held.delete(event.pointerId); };
  svg.addEventListener("pointerup", release);
  svg.addEventListener("pointercancel", release);
  svg.addEventListener("dblclick", () => show(0, 1));
  // A stretch may be narrower than a finger: the nearest within reach is meant.
  const near = event => {
    for (const by of [0, 3, -3, 6, -6, 10, -10, 14, -14]) {
      const found = document.elementFromPoint(event.clientX + by, event.clientY);
      const group = found && found.closest("svg g");
      if (group && group.querySelector("title")) return group;
    }
    return null;
  };
  svg.addEventListener("click", event => { if (moved <= 4) tell(near(event)); });
  svg.querySelectorAll(".run").forEach(group => group.addEventListener("focus", () => { if (group.matches(":focus-visible")) tell(group); }));
  const press = key => {
    const span = to - from, middle = (from + to) / 2;
    if (key === "+") zoom(middle, 0.8);
    else if (key === "-") zoom(middle, 1.25);
    else if (key === "0") show(0, 1);
    else if (key === "ArrowLeft") show(from - span / 10, to - span / 10);
    else if (key === "ArrowRight") show(from + span / 10, to + span / 10);
    else if (key === "Escape") tell(null);
  };
  addEventListener("keydown", event => press(event.key));
  document.querySelectorAll("button").forEach(one => one.addEventListener("click", () => press(one.dataset.key)));
  addEventListener("resize", fit);
  fit();
})();
