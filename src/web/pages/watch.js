// Keeps a page moving: whatever becomes of the connection, it says so and tries again.
"use strict";
const watched = (url, kinds, stands) => {
  // The server says something every 15 s at least.
  const SILENT_MS = 45_000;
  const AGAIN_MS = 10_000;
  let source = null;
  let timer = null;

  const after = (ms, what) => {
    clearTimeout(timer);
    timer = setTimeout(what, ms);
  };
  const heard = () => after(SILENT_MS, silent);
  const silent = () => {
    stands("This stands still: no connection. It tries again by itself.");
    watch();
  };
  const broke = () => {
    if (source?.readyState === EventSource.CLOSED) {
      stands("This stands still: you have to log in, or it is over. Load the page again; it tries again by itself.");
      after(AGAIN_MS, watch);
    } else {
      // The browser tries again. Should nothing come of that, silence says so.
      stands("This stands still: no connection. It goes on by itself.");
    }
  };

  const watch = () => {
    // A browser has few connections to a server, and tabs that nobody sees would take them all.
    source?.close();
    source = null;
    clearTimeout(timer);
    if (document.hidden) return;
    source = new EventSource(url);
    source.addEventListener("beat", heard);
    for (const [kind, hear] of Object.entries(kinds)) {
      source.addEventListener(kind, (event) => {
        heard();
        hear(event);
      });
    }
    source.addEventListener("error", broke);
    heard();
  };

  document.addEventListener("visibilitychange", watch);
  watch();
};
