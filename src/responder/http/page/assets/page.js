// Reads the page again now and then, for as long as somebody looks at it and is not in the middle of
// something. Without it the page is as it was when it was opened.
"use strict";
const EVERY_MS = 15000;

function isBusy(main) {
  const selection = document.getSelection();
  return document.hidden || main.contains(document.activeElement) || (selection && !selection.isCollapsed);
}

async function again() {
  const main = document.querySelector("main");
  if (isBusy(main)) return;
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (isBusy(main)) return;
  main.replaceWith(page.querySelector("main"));
  document.querySelector(".made").replaceWith(page.querySelector(".made"));
}

setInterval(() => again().catch(() => {}), EVERY_MS);
