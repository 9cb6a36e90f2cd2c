// The page of GradientFlow.to_html: what goes back through time, step by step.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const T = data.steps;
  const state = { t: T, item: 0, view: 0, log: true, timer: null };
  const by = (id) => document.getElementById(id);
  const view = () => data.views[state.view];
  const item = () => data.items[state.item];
  const term = (t) => view().terms[state.item][t - 1];
  // Norms have no sign: of vectors everything is one, of a scalar network only whole blocks are.
  const isSigned = () => data.scalar && !item().norm;
  const shown = (v) => (v === null || isSigned() ? v : Math.abs(v));

  // ---- numbers -----------------------------------------------------------------------

  const SUPER = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸",
    9: "⁹" };
  const raised = (n) => [...String(n)].map((c) => SUPER[c]).join("");

  function text(v, digits = 4) {
    if (v === null || !Number.isFinite(v)) return "not finite";
    if (v === 0) return "0";
    const size = Math.abs(v);
    if (size >= 1e-3 && size < 1e5) return String(Number(v.toPrecision(digits))).replace("-", "−");
    const [front, power] = v.toExponential(2).split("e");
    return `${front.replace("-", "−")}×10${raised(Number(power))}`;
  }

  // b / a, where 0 / 0 is nothing at all.
  const ratio = (b, a) => (a === null || b === null ? null : a === 0 ? 0 : Math.abs(b / a));
  const times = (a, b) => (a === null || b === null ? null : a * b);

  // ---- formulas ----------------------------------------------------------------------

  const indexed = (name, t) => `<msub><mi>${name}</mi><mn>${t}</mn></msub>`;
  const h = (t) => indexed("h", t);
  const W = () => `<mi>${isSigned() ? "w" : "W"}</mi>`;
  const slope = (of, by) =>
    `<math><mfrac><mrow><mi>∂</mi>${of}</mrow><mrow><mi>∂</mi>${by}</mrow></mfrac></math>`;
  const L = "<mi>L</mi>";
  const output = () => (data.everyStep ? indexed("y", data.steps) : "<mi>y</mi>");

  // The step that the last output reads, and the factors from the loss to the weights of step t.
  const read = data.read;
  const jacobian = (t) =>
    data.scalar ? shown(data.jacobians[t - 1]) : ratio(view().states[t - 1], view().states[t]);
  const local = (t) =>
    item().local ? shown(item().local[t - 1]) : ratio(term(t), view().states[t]);

  function factors(t) {
    const list = [];
    if (data.single) {
      list.push({ of: slope(L, output()), value: shown(view().slopes[read - data.shift]) });
      list.push({ of: slope(output(), h(read)), value: shown(data.out) });
    } else {
      list.push({ of: slope(L, h(read)), value: shown(view().states[read]) });
    }
    for (let k = read; k > t; k--) {
      list.push({
        of: slope(h(k), h(k - 1)), value: jacobian(k), isFactor: true,
        most: data.scalar ? undefined : data.norms[k - 1],
      });
    }
    list.push({ of: slope(h(t), W()), value: local(t), isLocal: true });
    let product = 1;
    for (const one of list) one.product = product = times(product, one.value);
    return list;
  }

  // ---- the product -------------------------------------------------------------------

  const MOST = 9;
  const KEPT = 3;

  function chip(one) {
    const node = document.createElement("div");
    node.className = "chip";
    if (one.isFactor && one.value !== null) {
      const size = Math.abs(one.value);
      node.classList.add(size > 1 ? "grows" : "shrinks");
      node.title = size > 1 ? "makes the gradient larger" : "makes the gradient smaller";
    }
    if (one.isSum) node.classList.add("sum");
    const value = `<div class="value" data-value="${one.value}">${text(one.value)}</div>`;
    const most = one.most === undefined ? "" : `<div class="note">at most ${text(one.most)}</div>`;
    const product = one.product === undefined || one.isSum ? ""
      : `<div class="note">so far ${text(one.product)}</div>`;
    node.innerHTML = `<div class="of">${one.of}</div>${value}${most}${product}`;
    return node;
  }

  // A chip with the sign before it, which stays on the same line.
  function signed(mark, node) {
    const both = document.createElement("div");
    both.className = "signed";
    const sign = document.createElement("span");
    sign.textContent = mark;
    both.append(sign, node);
    return both;
  }

  function middle(some) {
    const whole = some.reduce((product, one) => times(product, one.value), 1);
    const node = chip({ of: `<span class="dots">⋯ ${some.length} factors ⋯</span>`, value: whole });
    node.classList.add(Math.abs(whole) > 1 ? "grows" : "shrinks");
    return node;
  }

  function drawProduct() {
    const box = by("product");
    const t = state.t;
    const nodes = [];
    const add = (mark, node) => nodes.push(mark ? signed(mark, node) : node);
    if (item().why) {
      by("explain").textContent = item().why;
    } else if (t > read) {
      by("explain").textContent = "No output reads the state after the last step.";
    } else if (view().key === "all") {
      by("explain").textContent =
        "Every step has a loss: what reaches a state is what its own output adds, and what comes " +
        "back from the next state" +
        (data.scalar ? "." : ". Norms of vectors: they need not add up.");
      const next = t < T ? view().through[t] : 0;
      add("", chip({ of: '<span class="dots">its own output</span>',
        value: shown(view().direct[t]) }));
      add("+", chip({ of: '<span class="dots">from the next state</span>', value: shown(next) }));
      add("=", chip({ of: slope(L, h(t)), value: shown(view().states[t]) }));
      add("×", chip({ of: slope(h(t), W()), value: local(t) }));
    } else {
      by("explain").textContent = data.scalar
        ? "Every factor is a number. They multiply to the term."
        : "Every factor is a matrix. Shown is by how much it stretched the gradient that passed " +
          "through it, so the numbers multiply to the norm of the term, and below it the most " +
          "that it can stretch any (its spectral norm).";
      const list = factors(t);
      const inner = list.filter((one) => one.isFactor);
      list.forEach((one) => {
        const at = inner.indexOf(one);
        if (inner.length > MOST && at >= KEPT && at < inner.length - KEPT) {
          if (at === KEPT) add("×", middle(inner.slice(KEPT, -KEPT)));
        } else {
          add(one === list[0] ? "" : "×", chip(one));
        }
      });
    }
    add(nodes.length ? "=" : "", chip({ of: "term", value: shown(term(t)), isSum: true }));
    box.replaceChildren(...nodes);
  }

  // ---- figures -----------------------------------------------------------------------

  const share = (v, most, log) => {
    if (v === null) return 1;
    const part = most ? Math.abs(v) / most : 0;
    return log && part ? Math.max(0, 1 + Math.log10(part) / data.decades) : log ? 0 : part;
  };
  const largest = (values) => Math.max(0, ...values.map((v) => Math.abs(v ?? 0)));

  // A line that ends in a head; it points by an angle in degrees, 0 being to the right.
  function arrow(path, [x, y], angle, kind, part, label) {
    const width = Math.max(0.6, 9 * part);
    const strength = part ? (0.25 + 0.75 * Math.min(1, part)).toFixed(3) : 0;
    const half = width / 2 + 3;
    return `<g class="${kind}" opacity="${strength}"><title>${label}</title>` +
      `<path d="${path}" stroke-width="${width.toFixed(2)}"/><path class="head" ` +
      `d="M0 ${-half}L${1.5 * half} 0L0 ${half}Z" transform="translate(${x} ${y}) ` +
      `rotate(${angle})"/></g>`;
  }

  // The states that are drawn, null being a gap: all, or those around this step and the last.
  function columns(count) {
    const t = Math.min(state.t, read), all = Math.min(count, read + 1);
    if (read - t + 2 <= count) return Array.from({ length: all }, (_, k) => read - all + 1 + k);
    return count > 7 ? [t - 1, t, t + 1, t + 2, null, read - 2, read - 1, read]
      : [t - 1, t, null, read - 1, read];
  }

  function drawUnrolled() {
    const room = (by("unrolled").clientWidth || 700) - 20;
    const at = columns(room < 74 * MOST ? 5 : MOST);
    const each = Math.min(100, Math.max(58, room / at.length));
    const r = 19, top = 84, low = 190, width = each * at.length + 20;
    const x = (k) => 10 + each * (k + 0.5);
    const states = view().states, most = largest(states);
    const terms = view().terms[state.item], mostTerm = largest(terms);
    let svg = `<rect class="weights" x="8" y="${low}" width="${width - 16}" height="20" rx="6"/>` +
      `<text x="${width / 2}" y="${low + 14}" text-anchor="middle">weights, the same at every ` +
      "step</text>";
    at.forEach((s, k) => {
      if (s === null) {
        svg += `<text class="gap" x="${x(k)}" y="${top + 5}" text-anchor="middle">⋯</text>`;
        return;
      }
      const isOn = s >= state.t && !item().why;
      const size = `size ${text(states[s] === null ? null : Math.abs(states[s]))}`;
      if (k && at[k - 1] !== null) {
        const from = x(k) - r * 0.7, to = x(k - 1) + r * 0.8;
        const back = states[s - 1];
        svg += `<path class="forward" d="M${x(k - 1) + r} ${top + 8}H${x(k) - r}"/>`;
        svg += arrow(`M${from} ${top - 13}Q${(from + to) / 2} ${top - 40} ${to} ${top - 18}`,
          [to, top - 18], 138,
          s > state.t && !item().why ? "back on" : "back", share(back, most, state.log),
          `what reaches h${s - 1}: ${text(back === null ? null : Math.abs(back))}`);
      }
      if (s > 0) {
        svg += arrow(`M${x(k)} ${top + r}V${low - 14}`, [x(k), low - 15], 90, s === state.t ? "down on" : "down",
          share(terms[s - 1], mostTerm, state.log), `term of step ${s}: ${text(terms[s - 1])}`);
      }
      if (s === read || (view().key === "all" && s > 0)) {
        svg += `<text x="${x(k)}" y="16" text-anchor="middle">L</text>` +
          arrow(`M${x(k)} 21V${top - r - 14}`, [x(k), top - r - 15], 90, isOn ? "back on" : "back",
            share(view().direct[s], most, state.log), "from the output");
      }
      svg += `<circle class="${s === state.t ? "unit on" : "unit"}" cx="${x(k)}" cy="${top}" ` +
        `r="${r}"><title>${size}</title></circle><text x="${x(k)}" y="${top + 4}" ` +
        `text-anchor="middle">h<tspan class="index" dy="3">${s}</tspan></text>`;
    });
    by("unrolled").innerHTML =
      `<svg viewBox="0 0 ${width} ${low + 24}" width="${width}" height="${low + 24}" role="img" ` +
      'aria-label="The network unrolled in time; arrows are as wide as what goes back">' +
      `${svg}</svg>`;
  }

  function scaleOf(values, log) {
    const sizes = values.filter((v) => v !== null && v !== 0).map(Math.abs);
    if (log) {
      const high = Math.log10(Math.max(...sizes, 1e-300)), least = Math.log10(
        Math.min(...sizes, 10 ** high));
      const low = Math.floor(Math.min(least, high - 1));
      const span = Math.ceil(high) - low || 1;
      const step = Math.max(1, Math.ceil(span / 4));
      const ticks = [];
      for (let p = low; p <= Math.ceil(high); p += step) ticks.push([(p - low) / span,
        `10${raised(p)}`]);
      return { zero: 0, ticks, at: (v) => (v ? (Math.log10(Math.abs(v)) - low) / span : 0) };
    }
    const finite = values.map((v) => shown(v ?? 0));
    const low = Math.min(0, ...finite), high = Math.max(0, ...finite), span = high - low || 1;
    const ticks = [...new Set([low, 0, high])].map((v) => [(v - low) / span, text(v, 3)]);
    return { zero: -low / span, ticks, at: (v) => (shown(v ?? 0) - low) / span };
  }

  function drawTerms() {
    const box = by("terms");
    const terms = view().terms[state.item];
    const left = 78, right = 10, top = 12, height = 170, bottom = 34;
    const width = Math.max(260, box.clientWidth || 760), inner = width - left - right;
    const scale = scaleOf(terms, state.log);
    const x = (t) => left + (inner * (t - 0.5)) / T;
    const y = (part) => top + height * (1 - part);
    const wide = Math.max(0.6, (inner / T) * 0.8);
    let svg = "";
    for (const [part, label] of scale.ticks) {
      svg += `<path class="grid" d="M${left} ${y(part)}H${width - right}"/>` +
        `<text x="${left - 7}" y="${y(part) + 4}" text-anchor="end">${label}</text>`;
    }
    const bars = { "": "", on: "" };
    terms.forEach((v, k) => {
      const from = y(scale.zero), to = y(scale.at(v));
      bars[k + 1 === state.t ? "on" : ""] += `M${x(k + 1).toFixed(1)} ${from.toFixed(1)}` +
        `V${(to === from ? from - 0.5 : to).toFixed(1)}`;
    });
    svg += `<path class="bar" stroke-width="${wide}" d="${bars[""]}"/>` +
      `<path class="bar on" stroke-width="${Math.max(wide, 3)}" d="${bars.on}"/>`;
    const every = Math.ceil(T / Math.max(1, Math.floor(inner / 60)));
    for (let t = 1; t <= T; t += every) {
      svg += `<text x="${x(t)}" y="${top + height + 15}" text-anchor="middle">${t}</text>`;
    }
    svg += `<text x="${left + inner / 2}" y="${top + height + 30}" text-anchor="middle">` +
      "time step</text>";
    const what = isSigned() ? (state.log ? "size of the term" : "term") : "norm of the term";
    box.innerHTML = `<svg width="${width}" height="${top + height + bottom}" role="img" ` +
      `aria-label="${what} of every step">${svg}</svg>`;
    box.firstChild.addEventListener("click", (event) => {
      const along = event.clientX - box.getBoundingClientRect().left - left;
      go(Math.ceil((along / inner) * T));
    });
    by("what").textContent = what;
  }

  function drawSums() {
    const sums = view().sums[state.item];
    const part = state.t === T ? "The term of the last step" : `The terms of steps ${state.t} to ${T}`;
    const word = isSigned() ? "" : "norm ";
    by("sum").textContent = `${part} together: ${word}${text(shown(sums[state.t - 1]))}. ` +
      `All ${T}, the gradient: ${word}${text(shown(sums[0]))}.`;
    by("sum").dataset.value = shown(sums[state.t - 1]);
  }

  function drawTable() {
    if (!by("numbers").open) return;
    const cells = (tag, values) => `<tr>${values.map((v) => `<${tag}>${v}</${tag}>`).join("")}</tr>`;
    const name = data.scalar ? "factor" : "stretched by";
    let rows = cells("th", ["step", "dL/dh", name, "term"]);
    for (let t = T; t >= 1; t--) {
      rows += cells("td", [t, text(shown(view().states[t])), text(jacobian(t)),
        text(shown(term(t)))]);
    }
    by("table").innerHTML = rows;
  }

  function draw() {
    by("step").value = state.t;
    by("now").textContent = `${state.t} of ${T}`;
    by("step").setAttribute("aria-valuetext", `step ${state.t} of ${T}`);
    drawProduct();
    drawUnrolled();
    drawTerms();
    drawSums();
    drawTable();
    const place = new URLSearchParams({ t: state.t, p: item().name, log: Number(state.log) });
    if (data.views.length > 1) place.set("loss", view().key);
    try {
      history.replaceState(null, "", `#${place}`);
    } catch {
      // inside a frame without an address of its own
    }
  }

  // ---- controls ----------------------------------------------------------------------

  function go(t) {
    state.t = Math.min(T, Math.max(1, Math.round(t) || 1));
    draw();
  }

  function stop() {
    clearInterval(state.timer);
    state.timer = null;
    by("play").textContent = "▶ Play";
  }

  function play() {
    if (state.timer !== null) return stop();
    if (state.t === 1) go(T);
    by("play").textContent = "❚❚ Pause";
    state.timer = setInterval(() => (state.t > 1 ? go(state.t - 1) : stop()), 700);
  }

  function fill(select, names) {
    names.forEach((name, k) => select.add(new Option(name, k)));
  }

  function restore() {
    const place = new URLSearchParams(location.hash.slice(1));
    const at = data.items.findIndex((one) => one.name === place.get("p"));
    const loss = data.views.findIndex((one) => one.key === place.get("loss"));
    if (at >= 0) by("item").value = state.item = at;
    if (loss >= 0) by("view").value = state.view = loss;
    if (place.has("log")) by("log").checked = state.log = place.get("log") !== "0";
    go(place.has("t") ? Number(place.get("t")) : T);
  }

  by("step").max = T;
  fill(by("item"), data.items.map((one) => one.name));
  fill(by("view"), data.views.map((one) => one.label));
  by("item").value = state.item = data.first;
  by("losses").hidden = data.views.length < 2;
  by("step").addEventListener("input", () => go(Number(by("step").value)));
  by("item").addEventListener("change", () => { state.item = Number(by("item").value); draw(); });
  by("view").addEventListener("change", () => { state.view = Number(by("view").value); draw(); });
  by("log").addEventListener("change", () => { state.log = by("log").checked; draw(); });
  by("earlier").addEventListener("click", () => go(state.t - 1));
  by("later").addEventListener("click", () => go(state.t + 1));
  by("play").addEventListener("click", play);
  by("numbers").addEventListener("toggle", drawTable);
  addEventListener("resize", () => { drawTerms(); drawUnrolled(); });
  addEventListener("hashchange", restore);
  addEventListener("keydown", (event) => {
    if (event.target.matches("input, select") || event.altKey || event.ctrlKey || event.metaKey) {
      return;
    }
    const to = { ArrowLeft: state.t - 1, ArrowRight: state.t + 1, Home: 1, End: T }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    go(to);
  });
  restore();
})();
