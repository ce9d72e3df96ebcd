// The frame around every page: navigation, who is signed in, theme, and whether the server can be reached.
import { announce } from "/static/announce.js";
import * as api from "/static/api.js";
import { empty, h, redraw } from "/static/dom.js";
import { openShortcuts, useKeys } from "/static/keys.js";
import { newsButton, watchNews } from "/static/notices.js";

/** @param {"bar" | "page" | "outage"} id */
const at = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
/** @type {Record<string, string>} */
const THEMES = { auto: "Theme: system", light: "Theme: light", dark: "Theme: dark" };

/** @type {Session | null} */
let session = null;
/** @type {AbortController | null} */
let news = null; // ends looking for news
/** @type {{ name: string, controller: AbortController } | null} */
let shown = null; // { name, controller } of the page on screen

function theme() {
  const kept = localStorage.getItem("theme");
  return kept !== null && kept in THEMES ? kept : "auto";
}

function applyTheme() {
  document.documentElement.dataset.theme = theme();
}

function nextTheme() {
  const names = Object.keys(THEMES);
  localStorage.setItem("theme", names[(names.indexOf(theme()) + 1) % names.length]);
  applyTheme();
  drawBar();
}

function drawBar() {
  const link = (/** @type {{ name: string, title: string }} */ { name, title }) =>
    h("a", { href: `/${name}`, "aria-current": shown?.name === name ? "page" : null }, title);
  redraw(at("bar"),
    h("span", { class: "brand" }, h("img", { src: "/static/icon.svg", alt: "", width: 22, height: 22 }), "Fraud console"),
    session && h("nav", { "aria-label": "Pages" }, session.pages.filter((page) => page.listed).map(link)),
    h("span", { class: "bar-end" },
      session && h("span", { class: "who" }, h("strong", {}, session.name), ` ${session.role}`),
      session && h("button", { class: "quiet", onclick: changePassword }, "Password"),
      session && h("button", { class: "quiet", title: "Keyboard shortcuts: which there are, other keys, on or off", onclick: openShortcuts }, "Keys"),
      session && newsButton(),
      h("button", { class: "quiet", onclick: nextTheme, title: "Follow the system, light or dark" }, THEMES[theme()]),
      session && h("button", { class: "quiet", onclick: leave }, "Sign out")));
}

/** Opens a page by its address without loading the document again. @type {Go} */
export const go = (path, { replace = false } = {}) => {
  history[replace ? "replaceState" : "pushState"](null, "", path);
  return route();
};

/** Follows the news while somebody is signed in. */
function followNews() {
  if (session && !news) watchNews({ go, signal: (news = new AbortController()).signal });
  if (!session && news) { news.abort(); news = null; }
}

/** @returns {Promise<void>} */
async function route() {
  followNews();
  useKeys(session);
  const [name, ...rest] = location.pathname.slice(1).split("/");
  shown?.controller.abort();
  shown = null;
  if (!session) return void drawSignIn(location.search === "?refused=1" ? "Your organisation's sign-in gave you no access here." : "");
  const page = session.pages.find((one) => one.name === name);
  if (!name && session.pages.length) return void await go(`/${session.pages[0].name}`, { replace: true });
  const controller = new AbortController();
  shown = { name, controller };
  api.beginView();
  drawBar();
  const root = h("div", { class: `page page-${name}` }, empty("Loading…"));
  at("page").replaceChildren(root);
  document.title = `${page?.title ?? "Not found"} · Fraud console`;
  if (!page) return void root.replaceChildren(empty("There is no such page, or your role may not use it."));
  try {
    const { mount } = await import(`/static/pages/${name}.js`);
    if (controller.signal.aborted) return;
    await mount(root, {
      session, go, announce, signal: controller.signal,
      path: rest.map(decodeURIComponent), parameters: new URLSearchParams(location.search),
    });
  } catch (error) {
    if (controller.signal.aborted || api.kindOf(error) === "signed-out") return;
    root.replaceChildren(empty(api.messageOf(error), " ", h("button", { onclick: route }, "Try again")));
    // What failed for want of a server or store is tried again when that is back.
    if (["offline", "store"].includes(api.kindOf(error))) api.events.addEventListener("recovered", route, { once: true, signal: controller.signal });
    else console.error(error);
  }
}

function drawSignIn(message = "") {
  drawBar();
  document.title = "Sign in · Fraud console";
  const said = h("p", { class: "form-error", role: "alert" }, message);
  const name = h("input", { name: "name", autocomplete: "username", required: true, maxlength: 64, autocapitalize: "none" });
  const password = h("input", { name: "password", type: "password", autocomplete: "current-password", required: true, maxlength: 256 });
  const code = h("input", { name: "code", autocomplete: "one-time-code", inputmode: "numeric", maxlength: 16 });
  const second = h("label", { hidden: true }, "Code of your authenticator", code);
  const button = h("button", { class: "primary" }, "Sign in");
  const elsewhere = h("a", { class: "button", href: "/api/session/provider", target: "_self", hidden: true }, "Sign in with your organisation");
  api.get("/session/means").then(({ provider }) => { elsewhere.hidden = !provider; }, () => {});
  at("page").replaceChildren(h("form", { class: "panel sign-in", onsubmit: async (event) => {
    event.preventDefault();
    said.textContent = "";
    button.disabled = true;
    try {
      session = await api.signIn(name.value, password.value, code.value);
      await route();
    } catch (error) {
      said.textContent = api.messageOf(error);
      button.disabled = false;
      if (/^give the code/.test(api.messageOf(error))) { second.hidden = false; code.focus(); } else password.select();
    }
  } }, h("h1", {}, "Sign in"), h("label", {}, "Name", name), h("label", {}, "Password", password), second, said, button, elsewhere));
  name.focus();
}

function changePassword() {
  const field = (/** @type {string} */ autocomplete, minlength = 1) => h("input", { type: "password", required: true, minlength, maxlength: 256, autocomplete });
  const old = field("current-password"), next = field("new-password", 12), said = h("p", { class: "form-error", role: "alert" });
  const dialog = h("dialog", { class: "panel", "aria-label": "Change your password", onclose: ({ currentTarget }) => currentTarget.remove() }, h("form", { class: "stack", onsubmit: async (event) => {
    event.preventDefault();
    try {
      await api.post("/session/password", { old: old.value, new: next.value });
      dialog.close();
      session = null;
      shown?.controller.abort();
      shown = null;
      drawSignIn("Your password is changed. Sign in with the new one.");
    } catch (error) { said.textContent = api.messageOf(error); }
  } }, h("h2", {}, "Change your password"), h("label", {}, "Password of now", old), h("label", {}, "New password, at least 12 characters", next), said, h("div", { class: "row" }, h("button", { class: "primary" }, "Change"), h("button", { type: "button", onclick: () => { dialog.close(); } }, "Cancel"))));
  document.body.append(dialog);
  dialog.showModal();
}

async function leave() {
  try {
    await api.signOut();
  } catch (error) {
    if (api.kindOf(error) !== "signed-out") return announce(api.messageOf(error), "bad");
  }
  session = null;
  sessionStorage.clear();
  route();
}

api.events.addEventListener("signed-out", () => {
  if (!session) return;
  session = null;
  followNews();
  shown?.controller.abort();
  shown = null;
  drawSignIn("Your session has ended. Sign in again.");
});
api.events.addEventListener("outage", (event) => {
  at("outage").hidden = false;
  at("outage").textContent = `${/** @type {CustomEvent<{ message: string }>} */ (event).detail.message} What you see may be old; trying again…`;
});
api.events.addEventListener("recovered", () => {
  at("outage").hidden = true;
  at("outage").textContent = "";
  announce("Connected again.", "good");
});
window.addEventListener("popstate", route);
document.addEventListener("click", (event) => {
  const link = event.target instanceof Element ? /** @type {HTMLAnchorElement | null} */ (event.target.closest("a[href^='/']")) : null, path = link?.getAttribute("href");
  if (!link || !path || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || link.target) return;
  event.preventDefault();
  go(path);
  at("page").focus({ preventScroll: true });
  scrollTo(0, 0);
});

async function start() {
  applyTheme();
  drawBar();
  try {
    session = await api.session();
  } catch (error) {
    at("page").replaceChildren(empty(api.messageOf(error)));
    api.events.addEventListener("recovered", start, { once: true });
    return;
  }
  await route();
}

start();
