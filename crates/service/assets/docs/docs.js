// What the pages do beyond being read: theme, menu, search, tabs, copying, and the form that sends a request.
// Without this script all of the text is there.
"use strict";

const find = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

// Storage may be forbidden; then nothing is kept.
function stored(storage, key, value) {
  try {
    if (value === undefined) return window[storage].getItem(key);
    if (value === null) window[storage].removeItem(key);
    else window[storage].setItem(key, value);
  } catch {}
  return null;
}

function theme() {
  const button = find(".theme");
  const root = document.documentElement;
  const show = () => button.setAttribute("aria-pressed", String(root.dataset.theme === "dark"));
  show();
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
    stored("localStorage", "docket-theme", root.dataset.theme);
    show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (system) => {
    if (stored("localStorage", "docket-theme")) return;
    root.dataset.theme = system.matches ? "dark" : "light";
    show();
  });
}

function menu() {
  const menu = find(".menu");
  const narrow = matchMedia("(max-width: 60rem)");
  const fit = () => { menu.open = !narrow.matches; };
  fit();
  narrow.addEventListener("change", fit);
  const current = find("[aria-current]", menu);
  if (current && !narrow.matches) {
    menu.scrollTop = Math.max(0, current.offsetTop - menu.clientHeight / 2);
  }
}

function search() {
  const box = find(".search");
  const input = find("#search");
  const list = find("#results");
  const found = find("#found");
  let entries = null;
  box.hidden = false;

  const load = () => {
    entries ??= fetch("/docs/search.json").then((answer) => answer.json()).catch(() => []);
    return entries;
  };
  const close = () => {
    list.hidden = true;
    list.replaceChildren();
    found.textContent = "";
  };
  const rank = (entry, words) => {
    const title = entry.title.toLowerCase();
    const rest = `${entry.kind} ${entry.words}`.toLowerCase();
    let sum = 0;
    for (const word of words) {
      if (title === word) sum += 12;
      else if (title.startsWith(word)) sum += 8;
      else if (title.includes(word)) sum += 5;
      else if (rest.includes(word)) sum += 1;
      else return 0;
    }
    if (title.includes(words.join(" "))) sum += 6;
    // What most people look for.
    return entry.path.startsWith("/docs/operations/") ? sum + 6 : sum;
  };
  const show = async () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) return close();
    const known = await load();
    const hits = known
      .map((entry) => [rank(entry, words), entry])
      .filter(([value]) => value)
      .sort((a, b) => b[0] - a[0])
      .slice(0, 12);
    list.replaceChildren(...hits.map(([, entry]) =>
      make("li", {}, make("a", { href: entry.path }, entry.title, make("span", {}, entry.kind)))));
    list.hidden = !hits.length;
    found.textContent = hits.length ? `${hits.length} results; arrow down to go through them` : "Nothing found";
  };
  input.addEventListener("focus", load);
  input.addEventListener("input", show);
  box.addEventListener("keydown", (event) => {
    const links = all("a", list);
    const at = links.indexOf(document.activeElement);
    if (event.key === "ArrowDown" && links.length) links[Math.min(at + 1, links.length - 1)].focus();
    else if (event.key === "ArrowUp" && at >= 0) (links[at - 1] ?? input).focus();
    else if (event.key === "Enter" && at < 0 && links.length) location.assign(links[0].href);
    else if (event.key === "Escape") { input.value = ""; close(); input.focus(); }
    else return;
    event.preventDefault();
  });
  box.addEventListener("focusout", (event) => {
    if (!box.contains(event.relatedTarget)) close();
  });
  list.addEventListener("mousedown", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      input.focus();
    }
  });
}

// Tabs as the ARIA practices have them: arrows, Home and End move, one tab is in the order of focus.
function tabs() {
  const group = find(".samples");
  if (!group) return;
  const panels = all(".sample", group);
  const list = make("div", { role: "tablist" });
  list.setAttribute("aria-labelledby", "samples");
  const buttons = panels.map((panel) => {
    const button = make("button", { type: "button", role: "tab", id: `tab-${panel.id}`, textContent: panel.dataset.label });
    button.setAttribute("aria-controls", panel.id);
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", button.id);
    return button;
  });
  const select = (chosen, keep) => {
    buttons.forEach((button, at) => {
      button.setAttribute("aria-selected", String(at === chosen));
      button.tabIndex = at === chosen ? 0 : -1;
      panels[at].hidden = at !== chosen;
    });
    if (keep) stored("localStorage", "docket-language", panels[chosen].dataset.label);
  };
  list.append(...buttons);
  list.addEventListener("click", (event) => {
    const at = buttons.indexOf(event.target);
    if (at >= 0) select(at, true);
  });
  list.addEventListener("keydown", (event) => {
    const at = buttons.indexOf(event.target);
    const last = buttons.length - 1;
    const next = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last }[event.key];
    if (at < 0 || next === undefined) return;
    event.preventDefault();
    select(next, true);
    buttons[next].focus();
  });
  panels[0].before(list);
  group.classList.add("tabbed");
  const language = stored("localStorage", "docket-language");
  select(Math.max(0, panels.findIndex((panel) => panel.dataset.label === language)), false);
}

// The samples name the server that shows them.
function address() {
  const written = "http://127.0.0.1:8080";
  if (location.origin === written) return;
  for (const code of all("pre code")) {
    const walker = document.createTreeWalker(code, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const node = walker.currentNode;
      if (node.data.includes(written)) node.data = node.data.replaceAll(written, location.origin);
    }
  }
}

function copying() {
  if (!navigator.clipboard) return;
  for (const button of all(".copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(find("code", button.parentElement).textContent);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Not allowed";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }
}

// Longest answer that is shown, in characters: a page of results can have megabytes.
const SHOWN = 100000;

function trying() {
  const form = find("#try-form");
  if (!form) return;
  const { method, path } = form.dataset;
  const [key, keep, body, send] = ["#try-key", "#try-keep", "#try-body", ".send"].map((name) => find(name, form));
  const outcome = find("#try-outcome");
  form.hidden = false;
  const kept = stored("sessionStorage", "docket-key");
  if (kept) {
    key.value = kept;
    keep.checked = true;
  }
  const keeping = () => stored("sessionStorage", "docket-key", keep.checked && key.value ? key.value : null);
  keep.addEventListener("change", keeping);
  key.addEventListener("change", keeping);

  const given = () => all("[data-place]", form).map((control) => {
    let values = [control.value];
    if (control.matches("fieldset")) values = all("input:checked", control).map((input) => input.value);
    else if ("lines" in control.dataset) values = control.value.split("\n");
    return { place: control.dataset.place, name: control.dataset.name, values: values.filter((value) => value !== "") };
  });
  const request = () => {
    const headers = new Headers();
    const query = new URLSearchParams();
    let target = path;
    for (const { place, name, values } of given()) {
      if (place === "path") target = target.replace(`{${name}}`, encodeURIComponent(values[0] ?? ""));
      else if (place === "header") values.forEach((value) => headers.set(name, value));
      else values.forEach((value) => query.append(name, value));
    }
    if (key.value) headers.set("X-API-KEY", key.value);
    if (body) headers.set("Content-Type", "application/json");
    const base = find("#try-server").value.replace(/\/$/, "");
    const search = query.toString();
    return [base + target + (search && `?${search}`), { method, headers, body: body?.value, credentials: "omit" }];
  };
  const readable = (text, type) => {
    let shown = text;
    if (/[/+]json/.test(type)) {
      try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch {}
    }
    if (shown.length <= SHOWN) return shown;
    return `${shown.slice(0, SHOWN)}\n… ${(shown.length - SHOWN).toLocaleString("en")} more characters`;
  };
  const show = (status, time, headers, text) => {
    find("#try-status").textContent = status;
    find("#try-time").textContent = time;
    find("#try-headers").textContent = headers;
    find("#try-answer").textContent = text;
    outcome.hidden = false;
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (send.getAttribute("aria-disabled") === "true") return;
    send.setAttribute("aria-disabled", "true");
    const began = performance.now();
    try {
      const answer = await fetch(...request());
      const text = await answer.text();
      const headers = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
      const time = `in ${Math.round(performance.now() - began)} ms`;
      show(`${answer.status} ${answer.statusText}`, time, headers, readable(text, answer.headers.get("content-type") ?? ""));
    } catch (error) {
      show("No answer", "", "", String(error));
    } finally {
      send.removeAttribute("aria-disabled");
    }
  });
}

for (const part of [theme, menu, search, tabs, address, copying, trying]) part();
