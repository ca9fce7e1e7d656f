// Keeps an open page current: asks for it again, and takes over its content where that has changed and nobody is typing.
"use strict";
const EVERY_MS = 4000;
function takeOver(shown, next) {
  if (shown && next && next.innerHTML !== shown.innerHTML) { shown.innerHTML = next.innerHTML; }
}
async function refresh() {
  const busy = document.hidden || document.querySelector("details[open]") || document.activeElement.matches("input, select, textarea");
  if (!busy) {
    try {
      const answer = await fetch(location.href, { headers: { "X-Live": "1" }, redirect: "error" });
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (answer.ok) {
        const focused = document.activeElement.getAttribute("href");
        for (const place of ["#notices", "header", "main"]) { takeOver(document.querySelector(place), next.querySelector(place)); }
        if (focused && document.activeElement === document.body) {
          const again = document.querySelector(`main a[href="${CSS.escape(focused)}"]`);
          if (again) { again.focus({ preventScroll: true }); }
        }
      }
    } catch { /* the server is away: the page stays as it is, and asks again */ }
  }
  setTimeout(refresh, EVERY_MS);
}
setTimeout(refresh, EVERY_MS);
