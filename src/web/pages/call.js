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

  const said = (event) => stands(event.data);
  watched(location.pathname + "/events", { call: stood, over: said, trouble: said }, stands);
})();
