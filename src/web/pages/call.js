// Moves the page of a call in progress. Without it the page says how the call stood when it was loaded.
"use strict";
(() => {
  const standing = document.getElementById("standing");
  const says = document.getElementById("says");
  const still = document.getElementById("still");

  const say = (place, text) => {
    // What has not changed is not read out again.
    if (place.textContent !== text) place.textContent = text;
  };

  const stands = (text) => {
    still.hidden = false;
    say(still, text);
  };

  let source = null;
  const watch = () => {
    // A browser has few connections to a server, and tabs that nobody sees would take them all.
    source?.close();
    source = null;
    if (document.hidden) return;
    source = new EventSource(location.pathname + "/events");
    source.addEventListener("call", stood);
    for (const kind of ["over", "trouble"]) source.addEventListener(kind, (event) => stands(event.data));
    source.addEventListener("error", broke);
  };

  const stood = (event) => {
    const { class: kind, says: words, html } = JSON.parse(event.data);
    still.hidden = true;
    says.className = "severity " + kind;
    say(says, words);
    const at = standing.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    // The server has escaped what callers said.
    standing.innerHTML = html;
    // Whoever had reached a link by keyboard is still there.
    const links = [...standing.querySelectorAll("a")];
    if (at) links.find((link) => link.getAttribute("href") === at)?.focus({ preventScroll: true });
  };

  const broke = () => {
    stands(source?.readyState === EventSource.CLOSED
      ? "This stands still: the call is over, or you have to log in. Load the page again."
      : "This stands still: no connection. It goes on by itself.");
  };

  document.addEventListener("visibilitychange", watch);
  watch();
})();
