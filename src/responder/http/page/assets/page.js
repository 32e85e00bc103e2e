// Reads the page again now and then, for as long as somebody looks at it and is not in the middle of
// something, and says so where that was not to be. Without it the page is as it was when it was opened.
"use strict";
const EVERY_MS = 15000;
// So many looks without a reading are told of: those of a minute, or two that failed, which count double.
const UNREAD_MOST = 4;
let unread = 0;
let isReading = false;

function isBusy(main) {
  const selection = document.getSelection();
  // A link that was opened in another tab keeps the focus, and nobody is at it. A field keeps what was typed also
  // while another window has the focus, where `:focus` finds none.
  const at = document.activeElement;
  const isTyping = main.contains(at) && at.matches("input, select, textarea");
  return isTyping || main.matches(":active") || (selection && !selection.isCollapsed);
}

// What has the focus in one main part, in another: whoever goes by keys is not thrown back to the beginning.
function sameIn(fresh, main, focused) {
  const href = focused.getAttribute("href");
  const alike = part => [...part.querySelectorAll(focused.tagName)].filter(one => one.getAttribute("href") === href);
  return alike(fresh)[alike(main).indexOf(focused)];
}

async function read() {
  const signal = AbortSignal.timeout(EVERY_MS);
  const answer = await fetch(location.href, { headers: { accept: "text/html" }, signal });
  if (!answer.ok) throw new Error(`${answer.status}`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const [fresh, made] = [page.querySelector("main"), page.querySelector(".made")];
  if (!fresh || !made) throw new Error("it is no page of ours");
  const main = document.querySelector("main");
  if (isBusy(main)) return;
  const focused = main.contains(document.activeElement) ? document.activeElement : null;
  const same = focused && sameIn(fresh, main, focused);
  main.replaceWith(fresh);
  same?.focus({ preventScroll: true });
  document.querySelector(".made").replaceWith(made);
  unread = 0;
}

function tell() {
  const readAt = document.querySelector(".made time").dateTime.slice(11, 19);
  const said = unread < UNREAD_MOST ? "" : `not read again since ${readAt} UTC`;
  const place = document.querySelector(".unread");
  if (place.textContent !== said) place.textContent = said;
}

async function look() {
  unread += 1;
  if (document.hidden) return;
  if (!isReading && !isBusy(document.querySelector("main"))) {
    isReading = true;
    await read().catch(() => { unread += 1; });
    isReading = false;
  }
  tell();
}

setInterval(look, EVERY_MS);
document.addEventListener("visibilitychange", look);
