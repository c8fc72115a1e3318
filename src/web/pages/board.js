// Moves the board. Without it the page says how calls stood when it was loaded.
"use strict";
(() => {
  const list = document.getElementById("calls");
  const says = document.getElementById("says");
  const count = document.getElementById("count");
  const still = document.getElementById("still");

  const say = (place, text) => {
    // What has not changed is not read out again.
    if (place.textContent !== text) place.textContent = text;
  };

  const made = (html) => {
    const holder = document.createElement("template");
    // The server has escaped what callers said.
    holder.innerHTML = html;
    return holder.content.firstElementChild;
  };

  const show = ({ says: words, count: calls, order, cards }) => {
    say(says, words);
    say(count, calls);
    const at = document.activeElement?.closest("li[id]")?.id;
    let last = null;
    for (const key of order) {
      let card = document.getElementById(key);
      if (cards[key]) {
        const fresh = made(cards[key]);
        card?.replaceWith(fresh);
        card = fresh;
      }
      if (!card) continue;
      const next = last ? last.nextElementSibling : list.firstElementChild;
      if (next !== card) list.insertBefore(card, next);
      last = card;
    }
    while (last ? last.nextElementSibling : list.firstElementChild) {
      (last ? last.nextElementSibling : list.firstElementChild).remove();
    }
    // Whoever had reached a call by keyboard is still there when it has moved.
    if (at && !document.activeElement?.closest("li[id]")) {
      document.getElementById(at)?.querySelector("a")?.focus({ preventScroll: true });
    }
  };

  const stands = (text) => {
    still.hidden = false;
    say(still, text);
  };

  const moved = (event) => {
    still.hidden = true;
    show(JSON.parse(event.data));
  };

  watched("/board/events" + location.search, { board: moved, trouble: (event) => stands(event.data) }, stands);
})();
