(() => {
  "use strict";
  const svg = document.querySelector("svg"), told = document.getElementById("told");
  const left = 96, right = 1188, wide = right - left, least = 1e-5;
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
    const step = steps.find(one => span / one <= 10) || steps[steps.length - 1];
    marks.replaceChildren();
    for (let at = Math.ceil((first + offset) / step) * step - offset; at <= first + span; at += step) {
      const place = x((at - since) / (until - since)), clock = new Date(at + offset).toISOString();
      const text = step < 1e3 ? clock.slice(11, 23) : step < 6e4 ? clock.slice(11, 19) : step < 864e5 ? clock.slice(11, 16) : clock.slice(5, 10);
      mark("line", "tick", { x1: place, x2: place, y1: top, y2: svg.dataset.bottom });
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
  const share = event => {
    const box = svg.getBoundingClientRect(), at = (event.clientX - box.left) * 1200 / box.width;
    return from + Math.min(Math.max((at - left) / wide, 0), 1) * (to - from);
  };
  const zoom = (at, factor) => show(at - (at - from) * factor, at + (to - at) * factor);
  svg.addEventListener("wheel", event => { event.preventDefault(); zoom(share(event), event.deltaY > 0 ? 1.25 : 0.8); }, { passive: false });
  let grip = null;
  svg.addEventListener("pointerdown", event => { grip = share(event); svg.setPointerCapture(event.pointerId); });
  svg.addEventListener("pointermove", event => { if (grip !== null) { const by = grip - share(event); show(from + by, to + by); } });
  svg.addEventListener("pointerup", () => { grip = null; });
  svg.addEventListener("dblclick", () => show(0, 1));
  svg.addEventListener("click", event => {
    const group = event.target.closest("g");
    told.textContent = group ? group.querySelector("title").textContent : "";
  });
  draw();
  addEventListener("keydown", event => {
    const span = to - from, middle = (from + to) / 2;
    if (event.key === "+") zoom(middle, 0.8);
    else if (event.key === "-") zoom(middle, 1.25);
    else if (event.key === "0") show(0, 1);
    else if (event.key === "ArrowLeft") show(from - span / 10, to - span / 10);
    else if (event.key === "ArrowRight") show(from + span / 10, to + span / 10);
  });
})();
