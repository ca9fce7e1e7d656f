// Keeps an open page current: asks for it again, and takes over its content where that has changed and nobody is typing.
"use strict";
const EVERY_MS = 4000;
async function refresh() {
  const busy = document.hidden || document.querySelector("details[open]") || document.activeElement.matches("input, select, textarea");
  if (!busy) {
    try {
      const answer = await fetch(location.href, { headers: { "X-Live": "1" }, redirect: "error" });
      const next = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
      const shown = document.querySelector("main");
      if (answer.ok && next && next.innerHTML !== shown.innerHTML) {
        const focused = document.activeElement.getAttribute("href");
        shown.innerHTML = next.innerHTML;
        if (focused) { const again = shown.querySelector(`a[href="${CSS.escape(focused)}"]`); if (again) { again.focus({ preventScroll: true }); } }
      }
    } catch { /* the server is away: the page stays as it is, and asks again */ }
  }
  setTimeout(refresh, EVERY_MS);
}
setTimeout(refresh, EVERY_MS);
