"use strict";

const minus = (text) => (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "\u2212");
const decimal = (value) => (value === null ? "\u2013" : minus(value.toFixed(3)));
const percent = (value) => (value === null ? "\u2013" : minus((100 * value).toFixed(1)) + "\u00a0%");
const write = (series, value) => (series.share ? percent(value) : decimal(value));
const signed = (series, change) => {
  if (change === null) return "";
  const text = write(series, change);
  return change > 0 && /[1-9]/.test(text) ? `+${text}` : text;
};

const tip = document.createElement("div");
tip.className = "tip";
tip.hidden = true;
tip.setAttribute("aria-hidden", "true");
document.body.append(tip);

function showTip(text, event) {
  tip.textContent = text;
  tip.hidden = false;
  const { offsetWidth: width, offsetHeight: height } = tip;
  const left = Math.min(event.clientX + 14, document.documentElement.clientWidth - width - 8);
  const above = event.clientY - height - 12;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${above < 8 ? event.clientY + 18 : above}px`;
}
const hideTip = () => { tip.hidden = true; };

document.addEventListener("pointermove", (event) => {
  const marked = event.target.closest("[data-tip]");
  if (marked) showTip(marked.dataset.tip, event);
  else if (!event.target.closest(".plot")) hideTip();
});
document.addEventListener("scroll", hideTip, { passive: true });
document.addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });

for (const root of document.querySelectorAll(".theta")) {
  const data = JSON.parse(root.querySelector("script").textContent);
  const slider = root.querySelector(".slider");
  const last = data.thetas.length - 1;

  function show(at) {
    const theta = data.thetas[at];
    slider.value = at;
    slider.setAttribute("aria-valuetext", `threshold ${theta}`);
    const words = [];
    for (const series of data.series) {
      const value = series.values[at];
      const row = root.querySelector(`[data-series="${series.key}"]`);
      row.querySelector(".now").textContent = write(series, value);
      if (data.used !== null) {
        const then = series.values[data.used];
        const change = value === null || then === null ? null : value - then;
        row.querySelector(".change").textContent = at === data.used ? "" : signed(series, change);
      }
      if (series.announced) words.push(`${series.name} ${write(series, value)}`);
    }
    root.querySelector("output").textContent = `Threshold ${theta}: ${words.join(", ")}.`;
    for (const line of root.querySelectorAll(".cursor")) {
      line.setAttribute("x1", `${(100 * at) / last}%`);
      line.setAttribute("x2", `${(100 * at) / last}%`);
    }
  }

  slider.addEventListener("input", () => show(Number(slider.value)));
  root.querySelector("button")?.addEventListener("click", () => show(data.used));
  for (const plot of root.querySelectorAll(".plot")) {
    const place = (event) => {
      const box = plot.getBoundingClientRect();
      return Math.min(last, Math.max(0, Math.round((last * (event.clientX - box.left)) / box.width)));
    };
    const shown = data.series.filter((series) => series.plot === plot.parentElement.dataset.plot);
    plot.addEventListener("pointermove", (event) => {
      const at = place(event);
      const rows = shown.map((series) => `${series.name} ${write(series, series.values[at])}`);
      showTip([`Threshold ${data.thetas[at]}`, ...rows].join("\n"), event);
    });
    plot.addEventListener("pointerleave", hideTip);
    plot.addEventListener("click", (event) => show(place(event)));
  }
  show(Number(slider.value));
}

addEventListener("beforeprint", () => {
  for (const closed of document.querySelectorAll("details:not([open])")) closed.open = true;
});
