// Keeps an open page current: asks for it again, and takes over its content where that has changed and nobody is typing.
"use strict";
const EVERY_MS = 4000;
function takeOver(shown, next) {
  if (shown && next && next.innerHTML !== shown.innerHTML) { shown.innerHTML = next.innerHTML; }
}
// Since when what is shown may be old, "" for not at all.
let since = "";
function tell(now) {
  if (now !== since) { since = now; document.querySelector("#stale").textContent = now && `Not current since ${now}: the server can't answer. Trying again.`; }
}
async function refresh() {
  const busy = document.hidden || document.querySelector("details[open]") || document.activeElement.matches("input, select, textarea");
  if (!busy) {
    try {
      const answer = await fetch(location.href, { headers: { "X-Live": "1" }, redirect: "error" });
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      tell(answer.ok ? "" : since || new Date().toLocaleTimeString());
      if (answer.ok) {
        const focused = document.activeElement.getAttribute("href");
        for (const place of ["#notices", "header", "main"]) { takeOver(document.querySelector(place), next.querySelector(place)); }
        if (focused && document.activeElement === document.body) {
          const again = document.querySelector(`main a[href="${CSS.escape(focused)}"]`);
          if (again) { again.focus({ preventScroll: true }); }
        }
      }
    } catch { tell(since || new Date().toLocaleTimeString()); }
  }
  setTimeout(refresh, EVERY_MS);
}
setTimeout(refresh, EVERY_MS);
