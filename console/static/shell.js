// The frame around every page: navigation, who is signed in, theme, and whether the server can be reached.
import { announce } from "/static/announce.js";
import * as api from "/static/api.js";
import { empty, h } from "/static/dom.js";
import { applyKeys, keysButton } from "/static/keys.js";
import { newsButton, watchNews } from "/static/notices.js";

const at = (id) => document.getElementById(id);
const THEMES = { auto: "Theme: system", light: "Theme: light", dark: "Theme: dark" };

let session = null;
let news = null; // ends looking for news
let shown = null; // { name, controller } of the page on screen

function theme() {
  const kept = localStorage.getItem("theme");
  return kept in THEMES ? kept : "auto";
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
  const link = ({ name, title }) =>
    h("a", { href: `/${name}`, "aria-current": shown?.name === name ? "page" : null }, title);
  at("bar").replaceChildren(...[
    h("span", { class: "brand" }, h("img", { src: "/static/icon.svg", alt: "", width: 22, height: 22 }), "Fraud console"),
    session && h("nav", { "aria-label": "Pages" }, session.pages.filter((page) => page.listed).map(link)),
    h("span", { class: "bar-end" },
      session && h("span", { class: "who" }, h("strong", {}, session.name), ` ${session.role}`),
      session && h("button", { class: "quiet", onclick: changePassword }, "Password"),
      session && keysButton(),
      session && newsButton(),
      h("button", { class: "quiet", onclick: nextTheme, title: "Follow the system, light or dark" }, THEMES[theme()]),
      session && h("button", { class: "quiet", onclick: leave }, "Sign out")),
  ].filter(Boolean));
}

/** Opens a page by its address without loading the document again. */
export function go(path, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", path);
  return route();
}

/** Follows the news while somebody is signed in. */
function followNews() {
  if (session && !news) watchNews({ go, signal: (news = new AbortController()).signal });
  if (!session && news) { news.abort(); news = null; }
}

async function route() {
  followNews();
  const [name, ...rest] = location.pathname.slice(1).split("/");
  shown?.controller.abort();
  shown = null;
  if (!session) return drawSignIn(location.search === "?refused=1" ? "Your organisation's sign-in gave you no access here." : "");
  const page = session.pages.find((one) => one.name === name);
  if (!name && session.pages.length) return go(`/${session.pages[0].name}`, { replace: true });
  const controller = new AbortController();
  shown = { name, controller };
  api.beginView();
  drawBar();
  const root = h("div", { class: `page page-${name}` }, empty("Loading…"));
  at("page").replaceChildren(root);
  document.title = `${page?.title ?? "Not found"} · Fraud console`;
  if (!page) return root.replaceChildren(empty("There is no such page, or your role may not use it."));
  try {
    const { mount } = await import(`/static/pages/${name}.js`);
    if (controller.signal.aborted) return;
    await mount(root, {
      session, go, announce, signal: controller.signal,
      path: rest.map(decodeURIComponent), parameters: new URLSearchParams(location.search),
    });
  } catch (error) {
    if (controller.signal.aborted || error.kind === "signed-out") return;
    root.replaceChildren(empty(error.message, " ", h("button", { onclick: route }, "Try again")));
    // What failed for want of a server or store is tried again when that is back.
    if (["offline", "store"].includes(error.kind)) api.events.addEventListener("recovered", route, { once: true, signal: controller.signal });
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
      said.textContent = error.message;
      button.disabled = false;
      if (/^give the code/.test(error.message)) { second.hidden = false; code.focus(); } else password.select();
    }
  } }, h("h1", {}, "Sign in"), h("label", {}, "Name", name), h("label", {}, "Password", password), second, said, button, elsewhere));
  name.focus();
}

function changePassword() {
  const field = (label, autocomplete) => h("label", {}, label, h("input", { type: "password", required: true, minlength: autocomplete === "new-password" ? 12 : 1, maxlength: 256, autocomplete }));
  const old = field("Password of now", "current-password"), next = field("New password, at least 12 characters", "new-password"), said = h("p", { class: "form-error", role: "alert" });
  const dialog = h("dialog", { class: "panel", "aria-label": "Change your password", onclose: () => dialog.remove() }, h("form", { class: "stack", onsubmit: async (event) => {
    event.preventDefault();
    try {
      await api.post("/session/password", { old: old.lastChild.value, new: next.lastChild.value });
      dialog.close();
      session = null;
      shown?.controller.abort();
      shown = null;
      drawSignIn("Your password is changed. Sign in with the new one.");
    } catch (error) { said.textContent = error.message; }
  } }, h("h2", {}, "Change your password"), old, next, said, h("div", { class: "row" }, h("button", { class: "primary" }, "Change"), h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"))));
  document.body.append(dialog);
  dialog.showModal();
}

async function leave() {
  try {
    await api.signOut();
  } catch (error) {
    if (error.kind !== "signed-out") return announce(error.message, "bad");
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
api.events.addEventListener("outage", (/** @type {CustomEvent} */ event) => {
  at("outage").hidden = false;
  at("outage").textContent = `${event.detail.message} What you see may be old; trying again…`;
});
api.events.addEventListener("recovered", () => {
  at("outage").hidden = true;
  at("outage").textContent = "";
  announce("Connected again.", "good");
});
window.addEventListener("popstate", route);
document.addEventListener("click", (event) => {
  const link = /** @type {HTMLAnchorElement | null} */ (/** @type {Element} */ (event.target).closest("a[href^='/']"));
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || link.target) return;
  event.preventDefault();
  go(link.getAttribute("href"));
  at("page").focus({ preventScroll: true });
  scrollTo(0, 0);
});

async function start() {
  applyTheme();
  applyKeys();
  drawBar();
  try {
    session = await api.session();
  } catch (error) {
    at("page").replaceChildren(empty(error.message));
    api.events.addEventListener("recovered", start, { once: true });
    return;
  }
  await route();
}

start();
