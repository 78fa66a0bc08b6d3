// The browser's part of scripts/docs-check, which starts the server and says where it is.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { DOCS_MODULES, DOCS_KEY, DOCS_PROFILE, DOCS_URL, DOCS_CHROMIUM = "/usr/bin/chromium" } = process.env;
const require = createRequire(`${DOCS_MODULES}/`);
const puppeteer = require("puppeteer-core");
// Run by the debugger: the page's own policy would refuse a foreign script.
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const MODES = [
  { name: "light", theme: "light", width: 1440, height: 900 },
  { name: "dark", theme: "dark", width: 1440, height: 900 },
  { name: "phone, light", theme: "light", width: 360, height: 740 },
  { name: "phone, dark", theme: "dark", width: 360, height: 740 },
];

// Every page that can be reached by links, and that each link leads somewhere.
async function crawl() {
  const pages = new Map();
  const links = [];
  const open = ["/docs"];
  const seen = new Set(open);
  while (open.length) {
    const path = open.pop();
    const answer = await fetch(DOCS_URL + path);
    const text = await answer.text();
    assert.equal(answer.status, 200, path);
    if (!answer.headers.get("content-type").startsWith("text/html")) continue;
    pages.set(path, text);
    for (const [, link] of text.matchAll(/(?:href|src)="([^"]*)"/g)) {
      if (link.startsWith("https://")) continue;
      const target = new URL(link, DOCS_URL + path);
      assert.equal(target.origin, DOCS_URL, `${path} leads to ${link}`);
      if (target.hash) links.push([path, target.pathname, target.hash.slice(1)]);
      const next = target.pathname + target.search;
      if (!seen.has(next)) {
        seen.add(next);
        open.push(next);
      }
    }
  }
  for (const [path, target, id] of links) {
    assert.ok(pages.get(target).includes(`id="${decodeURIComponent(id)}"`), `${path} leads to ${target}#${id}`);
  }
  return pages;
}

// One page of each kind; of the operations one for each method, of the guides all.
function kinds(pages) {
  const chosen = new Map([["missing", "/docs/nothing"]]);
  for (const [path, text] of pages) {
    const [, , group, name] = path.split("/");
    let kind = path;
    if (group === "operations") kind = `operation ${text.match(/data-method="(\w+)"/)[1]}`;
    else if (name) kind = group;
    if (!chosen.has(kind)) chosen.set(kind, path);
  }
  return [...chosen.values()].sort();
}

const browser = await puppeteer.launch({
  executablePath: DOCS_CHROMIUM,
  headless: true,
  userDataDir: DOCS_PROFILE,
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"],
});
const page = await browser.newPage();
const troubles = [];
let expected = null;
page.on("pageerror", (error) => troubles.push(`${page.url()}: ${error.message}`));
page.on("console", (message) => {
  const text = message.text();
  if (message.type() !== "error" && message.type() !== "warn") return;
  // The browser itself reports an answer of 4xx as an error: one that a test asks for is none.
  if (expected && text.includes(`status of ${expected}`)) return;
  troubles.push(`${page.url()}: ${text}`);
});
page.on("request", (request) => {
  const url = request.url();
  if (!url.startsWith(`${DOCS_URL}/`)) troubles.push(`${page.url()}: asks ${url}`);
  if (url.includes(DOCS_KEY)) troubles.push(`${page.url()}: the key is in a URL`);
});

const evaluate = (work, ...given) => page.evaluate(work, ...given);
const text = (selector) => page.$eval(selector, (element) => element.textContent);
const go = (path) => page.goto(DOCS_URL + path, { waitUntil: "load" });
async function mode({ theme, width, height }) {
  await page.setViewport({ width, height });
  const motion = { name: "prefers-reduced-motion", value: "reduce" };
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }, motion]);
}

async function accessibility(paths) {
  let violations = 0;
  for (const one of MODES) {
    await mode(one);
    for (const path of paths) {
      expected = path === "/docs/nothing" ? 404 : null;
      await go(path);
      await evaluate(() => document.querySelectorAll("details").forEach((details) => { details.open = true; }));
      const overflow = await evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(overflow <= 0, `${path} is ${overflow} px wider than the window (${one.name})`);
      assert.equal(await evaluate(() => document.documentElement.dataset.theme), one.theme);
      await page.evaluate(axe);
      const result = await evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
      assert.ok(result.passes.length > 10, `${path}: axe has looked at it`);
      for (const { id, help, nodes } of result.violations) {
        violations += 1;
        console.log(`${path} (${one.name}): ${id}: ${help}\n    ${nodes.map((node) => node.html.slice(0, 160)).join("\n    ")}`);
      }
    }
    console.log(`axe: ${paths.length} pages in ${one.name}`);
  }
  expected = null;
  assert.equal(violations, 0, "violations of accessibility");
}

async function everyPageLoads(paths) {
  await mode(MODES[0]);
  for (const path of paths) {
    await go(path);
    assert.equal(await page.$$eval("main h1", (all) => all.length), 1, path);
  }
  console.log(`${paths.length} pages loaded`);
}

async function keyboard(operation) {
  await mode(MODES[0]);
  await go(operation);
  await page.keyboard.press("Tab");
  assert.equal(await evaluate(() => document.activeElement.className), "skip");
  assert.ok(await evaluate(() => document.activeElement.getBoundingClientRect().top >= 0), "the skip link is visible");
  await page.keyboard.press("Enter");
  assert.equal(await evaluate(() => document.activeElement.id), "content");

  // Tabs: arrows and End.
  await page.focus("[role=tab][aria-selected=true]");
  const selected = () => text("[role=tab][aria-selected=true]");
  const first = await selected();
  await page.keyboard.press("ArrowRight");
  const second = await selected();
  assert.notEqual(second, first);
  assert.equal(await evaluate(() => document.activeElement.textContent), second);
  const shown = await page.$$eval("[role=tabpanel]", (all) => all.filter((panel) => !panel.hidden).map((panel) => panel.dataset.label));
  assert.deepEqual(shown, [second]);
  await page.reload({ waitUntil: "load" });
  assert.equal(await selected(), second, "the language is remembered");

  // Search: a slash leads to it, arrows through it.
  await evaluate(() => document.activeElement.blur());
  await page.keyboard.press("/");
  assert.equal(await evaluate(() => document.activeElement.id), "search");
  await page.keyboard.type("overloaded");
  await page.waitForSelector("#results a");
  await page.keyboard.press("ArrowDown");
  await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
  assert.equal(new URL(page.url()).pathname, "/docs/errors/overloaded");

  // The theme is kept.
  await page.focus(".theme");
  await page.keyboard.press("Enter");
  assert.equal(await evaluate(() => document.documentElement.dataset.theme), "dark");
  await page.reload({ waitUntil: "load" });
  assert.equal(await evaluate(() => document.documentElement.dataset.theme), "dark");
  await page.focus(".theme");
  await page.keyboard.press("Space");
  assert.equal(await evaluate(() => document.documentElement.dataset.theme), "light");

  // On a phone the menu is closed at first.
  await mode(MODES[2]);
  await go(operation);
  assert.equal(await page.$eval(".menu", (menu) => menu.open), false);
  await page.focus(".menu summary");
  await page.keyboard.press("Enter");
  assert.equal(await page.$eval(".menu", (menu) => menu.open), true);
  console.log("keyboard: skip link, tabs, search, theme, menu");
}

async function send(status) {
  expected = status >= 400 ? status : null;
  await evaluate(() => { document.querySelector("#try-outcome").hidden = true; });
  await page.focus(".send");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#try-outcome:not([hidden])");
  expected = null;
  assert.match(await text("#try-status"), new RegExp(`^${status}`), await text("#try-answer"));
  return text("#try-answer");
}

// Sends requests from the forms: of an operation that creates, and of one that reads what was created.
async function trying(pages) {
  await mode(MODES[0]);
  const form = (method, fits) => [...pages].find(([path, html]) => {
    const template = html.match(/data-path="([^"]*)"/)?.[1];
    return path.includes("/operations/") && html.includes(`data-method="${method}"`) && fits(template);
  });
  const reading = (collection) => form("GET", (template) => new RegExp(`^${collection}/\\{\\w+\\}$`).test(template));
  const [create, html] = form("POST", (template) => !template.includes("{") && reading(template));
  const collection = html.match(/data-path="([^"]*)"/)[1];
  const [read] = reading(collection);

  // Nothing lies over the form, wherever the page is scrolled to.
  await go(create);
  const covered = await evaluate(() => [...document.querySelectorAll("#try-form :is(input, select, textarea, button)")]
    .filter((control) => {
      control.scrollIntoView({ block: "center" });
      const { left, top, width, height } = control.getBoundingClientRect();
      return [0.1, 0.5, 0.9].some((part) => {
        const hit = document.elementFromPoint(left + width * part, top + height / 2);
        return hit !== control && !control.contains(hit);
      });
    })
    .map((control) => control.id || control.outerHTML));
  assert.deepEqual(covered, []);

  assert.equal(JSON.parse(await send(401)).code, "unauthenticated");
  await page.type("#try-key", DOCS_KEY);
  const created = JSON.parse(await send(200));
  assert.ok((await text("#try-headers")).includes("x-request-id: "), "headers are shown");
  assert.equal(await evaluate(() => sessionStorage.length), 0, "the key is not kept unless asked for");
  await page.click("#try-keep");
  assert.equal(await evaluate(() => sessionStorage.getItem("docket-key")), DOCS_KEY);
  assert.ok(!(await evaluate(() => JSON.stringify({ ...localStorage }))).includes(DOCS_KEY));

  await go(read);
  assert.equal(await page.$eval("#try-key", (input) => input.value), DOCS_KEY);
  assert.equal(JSON.parse(await send(404)).code, "not_found", "the example is not here");
  const id = await page.$("[data-place=path]");
  await id.focus();
  await evaluate(() => document.activeElement.select());
  await page.keyboard.type(created.id);
  assert.equal(await evaluate(() => document.activeElement.value), created.id);
  assert.equal(JSON.parse(await send(200)).id, created.id);
  await page.click("#try-keep");
  assert.equal(await evaluate(() => sessionStorage.length), 0);
  await page.evaluate(axe);
  const result = await evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  assert.deepEqual(result.violations.map(({ id }) => id), [], "accessibility of the answer");
  assert.ok(!page.url().includes("?"), page.url());
  console.log(`try it: ${collection} and back`);
}

try {
  const pages = await crawl();
  console.log(`links: ${pages.size} pages, each link leads somewhere`);
  const paths = [...pages.keys()];
  await everyPageLoads(paths);
  await keyboard(paths.find((path) => path.includes("/operations/")));
  await trying(pages);
  await evaluate(() => localStorage.clear());
  await accessibility(kinds(pages));
  assert.deepEqual(troubles, []);
} finally {
  await browser.close();
}
