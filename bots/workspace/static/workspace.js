// The page: asks for what one person sees, draws it, and sends what the person does. The server decides everything else.
// Drawing is by parts with a key: a part whose data did not change keeps its nodes, so focus and typed text stay.

import { h, mrkdwn, richText, unescape } from "/workspace/static/mrkdwn.js";

const $ = (id) => document.getElementById(id);
const TOAST_MS = 7000;
const PALETTE = 6;

let state = null;
let drawnParts = new Map();
const view = { person: "", channel: "", tab: "messages", seen: new Map(), started: false };

// --- talking to the server ---

async function act(name, fields) {
  try {
    const response = await fetch(`/workspace/act/${name}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Workspace": "1" },
      body: JSON.stringify({ user: state.me, ...fields }),
    });
    const answer = response.headers.get("Content-Type")?.includes("json") ? await response.json() : { problem: await response.text() };
    if (answer.problem) toast("Not possible", answer.problem);
    return answer;
  } catch {
    toast("Not possible", "The workspace is not running.");
    return { error: "unreachable" };
  }
}

let loading = false;
let again = false;

async function load() {
  if (loading) {
    again = true;
    return;
  }
  loading = true;
  do {
    again = false;
    try {
      const response = await fetch(`/workspace/state?user=${encodeURIComponent(view.person)}`);
      if (response.ok) show(await response.json());
    } catch {
      // The feed tells us when the server is back.
    }
  } while (again);
  loading = false;
}

// --- the whole page ---

function show(next) {
  state = next;
  view.person = state.me;
  const known = state.channels.find((c) => c.id === view.channel || (c.name && c.name === view.channel));
  view.channel = (known ?? state.channels.find((c) => !c.direct) ?? state.channels[0]).id;
  if (!channel().direct) view.tab = "messages";
  rememberPlace();
  notice();
  drawSidebar();
  drawHeader();
  drawLog();
  drawComposer();
  drawModal();
  document.title = `${channel().direct ? state.app : "#" + channel().name} - ${state.team}`;
}

const channel = () => state.channels.find((c) => c.id === view.channel);
const nameOf = (id) => state.people.find((p) => p.id === id)?.name ?? state.names[id] ?? id;

function rememberPlace() {
  const place = channel().direct ? "app" : channel().name;
  history.replaceState(null, "", `#${encodeURIComponent(nameOf(state.me))}/${encodeURIComponent(place)}`);
}

function readPlace() {
  const [person = "", place = ""] = location.hash.slice(1).split("/").map(decodeURIComponent);
  view.person = person;
  view.channel = place;
}

function part(key, data, build) {
  const json = JSON.stringify(data);
  const old = drawnParts.get(key);
  if (old && old.json === json) return old.node;
  const fresh = { json, node: build() };
  drawnParts.set(key, fresh);
  return fresh.node;
}

function fill(holder, nodes) {
  const focused = holder.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
  const same = nodes.length === holder.childNodes.length && nodes.every((node, i) => node === holder.childNodes[i]);
  if (same) return;
  holder.replaceChildren(...nodes);
  if (focused) holder.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

// --- sidebar ---

function drawSidebar() {
  $("team").textContent = state.team;
  fill($("people"), state.people.map((person) =>
    part(`person ${person.id}`, [person, person.id === state.me], () =>
      h("li", {}, h("button", {
        type: "button", "data-focus": `p${person.id}`, "aria-pressed": String(person.id === state.me),
        "aria-label": `View as ${person.name}${person.title ? ", " + person.title : ""}`, onclick: () => become(person.id),
      }, avatar(person.id, person.name), h("span", { class: "who" }, h("b", {}, person.name), h("small", {}, person.title)))))));
  const entries = (direct) => state.channels.filter((c) => c.direct === direct).map((c) => {
    const label = c.direct ? state.app : c.name;
    const current = c.id === view.channel;
    const unread = current ? 0 : unreadIn(c.id);
    return part(`channel ${c.id}`, [c, current, unread, state.me], () =>
      h("li", {}, h("button", {
        type: "button", "data-focus": `c${c.id}`, "aria-current": current ? "page" : null,
        "aria-label": `${c.direct ? "App " : "Channel "}${label}${unread ? `, ${unread} new` : ""}`, onclick: () => go(c.id),
      }, h("span", { class: "sign", "aria-hidden": "true" }, c.direct ? "◆" : c.private ? "⚿" : "#"), label,
      unread ? h("span", { class: "badge", "aria-hidden": "true" }, unread) : null)));
  });
  fill($("channels"), entries(false));
  fill($("apps"), entries(true));
}

function avatar(id, name, isApp = false) {
  const number = [...id].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % PALETTE;
  return h("span", { class: `avatar ${isApp ? "app" : "c" + number}`, "aria-hidden": "true" }, isApp ? "" : name[0].toUpperCase());
}

function become(person) {
  view.person = person;
  view.seen.clear();
  view.started = false;
  drawnParts = new Map();
  closeSidebar();
  load();
}

function go(id, tab = "messages") {
  view.channel = id;
  view.tab = tab;
  closeSidebar();
  show(state);
  $("log").scrollTop = $("log").scrollHeight;
}

function closeSidebar() {
  document.body.classList.remove("open");
  $("menu").setAttribute("aria-expanded", "false");
}

// --- header ---

function drawHeader() {
  const here = channel();
  $("title").textContent = here.direct ? state.app : `# ${here.name}`;
  $("topic").textContent = here.direct ? "App" : here.topic;
  $("members").textContent = here.direct ? "" : `${here.members} members`;
  $("tabs").hidden = !here.direct;
  fill($("tabs"), here.direct ? [tab("home", "Home"), tab("messages", "Messages")] : []);
}

function tab(name, label) {
  return part(`tab ${name}`, view.tab === name, () => h("button", {
    type: "button", "data-focus": `t${name}`, "aria-pressed": String(view.tab === name),
    onclick: () => {
      go(view.channel, name);
      if (name === "home") act("home", {});
    },
  }, label));
}

// --- messages ---

function drawLog() {
  const log = $("log");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  fill(log, view.tab === "home" ? homeNodes() : messageNodes());
  if (atEnd || !view.started) log.scrollTop = log.scrollHeight;
  view.started = true;
}

function homeNodes() {
  if (!state.home) return [part("home none", 0, () => h("p", { class: "empty" }, "The app has not published a home tab for you."))];
  const context = { view: state.home.id };
  return [part("home", state.home, () => h("section", { class: "home" }, ...errorNote(state.home.errors), ...blocks(state.home.blocks, context)))];
}

function messageNodes() {
  const all = state.messages[view.channel] ?? [];
  if (!all.length) return [part("none", 0, () => h("p", { class: "empty" }, "Nothing here yet."))];
  const replies = (ts) => all.filter((m) => m.thread_ts === ts && m.ts !== ts);
  const nodes = [];
  let day = "";
  for (const message of all.filter((m) => !m.thread_ts || m.broadcast || m.thread_ts === m.ts || !all.some((p) => p.ts === m.thread_ts))) {
    const today = dayOf(message.ts);
    if (today !== day) nodes.push(part(`day ${today}`, today, () => h("div", { class: "day" }, h("span", {}, today))));
    day = today;
    nodes.push(part(`m ${message.ts}`, message, () => messageNode(message)));
    const under = replies(message.ts);
    if (under.length) nodes.push(part(`t ${message.ts}`, under, () => threadNode(under)));
  }
  return nodes;
}

const dayOf = (ts) => new Date(Number(ts) * 1000).toLocaleDateString(undefined, { weekday: "long", month: "long", day: "numeric" });
const timeOf = (ts) => new Date(Number(ts) * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

function threadNode(replies) {
  const count = replies.length === 1 ? "1 reply" : `${replies.length} replies`;
  return h("section", { class: "thread", "aria-label": count }, h("div", { class: "count" }, count), ...replies.map(messageNode));
}

function messageNode(message) {
  const name = message.app ? state.app : nameOf(message.user);
  const context = { channel: view.channel, ts: message.ts, warnings: message.warnings };
  return h("article", {
    class: `message${message.ephemeral ? " ephemeral" : ""}`, "data-ts": message.ts, "aria-label": `${name} at ${timeOf(message.ts)}`,
  },
  avatar(message.user, name, message.app),
  h("div", { class: "body" },
    message.ephemeral ? ephemeralNote(message) : null,
    h("div", { class: "byline" }, h("b", {}, name), message.app ? h("span", { class: "tag" }, "APP") : null,
      h("time", { datetime: new Date(Number(message.ts) * 1000).toISOString() }, timeOf(message.ts)),
      message.broadcast ? h("small", {}, "(replied to a thread, for the whole channel)") : null,
      message.edited ? h("small", {}, "(edited)") : null),
    ...(message.blocks.length ? blocks(message.blocks, context) : [h("div", { class: "text" }, mrkdwn(message.text, state.names))]),
    ...message.files.map((file) => h("div", { class: "file" }, file))));
}

function ephemeralNote(message) {
  return h("div", { class: "only-you" }, "Only visible to you",
    h("button", { type: "button", class: "quiet", onclick: () => act("dismiss", { ts: message.ts }) }, "Dismiss message"));
}

// --- blocks ---

function text(object) {
  return object.type === "mrkdwn" ? mrkdwn(object.text, state.names) : document.createTextNode(unescape(object.text));
}

const ALERTS = { default: "Note", info: "Info", warning: "Warning", error: "Error", success: "Success" };

const BLOCKS = {
  header: (block) => h("h3", { class: "header" }, text(block.text)),
  divider: () => h("hr"),
  section: (block, context) => h("div", { class: "section" },
    h("div", { class: "grow" },
      block.text ? h("div", { class: "text" }, text(block.text)) : null,
      block.fields ? h("div", { class: "fields" }, ...block.fields.map((field) => h("div", { class: "text" }, text(field)))) : null),
    block.accessory ? element(block.accessory, block, context) : null),
  context: (block) => h("div", { class: "context" },
    ...block.elements.map((item) => (item.type === "image" ? picture(item) : h("span", {}, text(item))))),
  actions: (block, context) => h("div", { class: "actions" }, ...block.elements.map((item) => element(item, block, context))),
  rich_text: (block) => h("div", { class: "text" }, ...richText(block.elements, state.names)),
  markdown: (block) => h("div", { class: "text markdown" }, block.text),
  image: (block) => picture(block),
  alert: (block) => h("div", { class: `alert ${block.level ?? "default"}` },
    h("b", {}, ALERTS[block.level ?? "default"]), h("span", {}, text(block.text))),
  table: (block) => h("div", { class: "table", tabindex: "0", role: "region", "aria-label": "Table" }, table(block)),
  input: (block, context) => input(block, context),
};

function blocks(list, context) {
  return list.map((block) => BLOCKS[block.type]?.(block, context) ?? h("p", { class: "unknown" }, `[${block.type}]`));
}

// Pictures are not fetched: the page talks to its own server only.
const picture = (item) => h("span", { class: "picture", role: "img", "aria-label": item.alt_text }, item.alt_text);

function table(block) {
  const cell = (tag, item, column) => {
    const { align, is_wrapped: wrapped } = block.column_settings?.[column] ?? {};
    const inner = item.type === "rich_text" ? richText(item.elements, state.names) : [item.text ?? String(item.value)];
    return h(tag, { class: [align && `align-${align}`, wrapped && "wrapped"].filter(Boolean).join(" ") || null, scope: tag === "th" ? "col" : null }, ...inner);
  };
  const [first, ...rest] = block.rows;
  return h("table", {},
    h("thead", {}, h("tr", {}, ...first.map((item, i) => cell("th", item, i)))),
    h("tbody", {}, ...rest.map((row) => h("tr", {}, ...row.map((item, i) => cell("td", item, i))))));
}

function element(item, block, context) {
  const control = item.type === "button" ? button(item, context) : menu(item, context);
  const warning = context.warnings?.[item.action_id];
  return warning ? h("span", { class: "warned" }, control, h("span", { class: "warning", role: "alert" }, "⚠ ", warning)) : control;
}

function button(item, context) {
  const node = h("button", {
    type: "button", class: `button ${item.style ?? ""}`, "aria-label": item.accessibility_label,
    "data-action": item.action_id, "data-focus": `${context.ts ?? context.view}/${item.action_id}`,
  }, text(item.text));
  node.addEventListener("click", () => press(node, item, context));
  return node;
}

function menu(item, context) {
  const label = item.placeholder ? unescape(item.placeholder.text) : "More...";
  const options = item.options.map((option) => h("option", { value: option.value, selected: option.value === item.initial_option?.value }, unescape(option.text.text)));
  const node = h("select", { "aria-label": label, "data-action": item.action_id, class: "button" }, h("option", { value: "" }, label), ...options);
  node.addEventListener("change", () => node.value && press(node, item, context, node.value));
  return node;
}

async function press(node, item, context, value) {
  if (node.getAttribute("aria-busy") === "true") return;
  if (item.confirm && !(await confirmed(item.confirm))) {
    if (item.options) node.value = "";
    return;
  }
  node.setAttribute("aria-busy", "true");
  if (item.url && /^https?:/i.test(item.url)) window.open(item.url, "_blank", "noopener,noreferrer");
  await act("click", { channel: context.channel, ts: context.ts, view: context.view, action_id: item.action_id, value: value ?? null });
  if (item.type === "overflow") node.value = "";
  node.removeAttribute("aria-busy");
}

// The safe choice has the focus, and Escape means no.
function confirmed(confirm) {
  const dialog = $("confirm");
  const yes = h("button", { type: "button", class: `button ${confirm.style ?? "primary"}`, value: "yes" }, confirm.confirm ? text(confirm.confirm) : "Yes");
  const no = h("button", { type: "button", class: "button", autofocus: true }, confirm.deny ? text(confirm.deny) : "Cancel");
  dialog.replaceChildren(h("h2", { id: "confirm-title" }, text(confirm.title)),
    h("div", { class: "text" }, text(confirm.text)), h("footer", {}, no, yes));
  return new Promise((resolve) => {
    yes.addEventListener("click", () => dialog.close("yes"));
    no.addEventListener("click", () => dialog.close(""));
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
    dialog.returnValue = "";
    dialog.showModal();
  });
}

// --- modals ---

let shownModal = "";
// As in Slack a modal does not outlive the page that it was opened in: person -> the one left over from before.
const leftOver = new Map();

function drawModal() {
  const dialog = $("modal");
  if (!leftOver.has(state.me)) leftOver.set(state.me, state.view?.id);
  const open = state.view?.id === leftOver.get(state.me) ? null : state.view;
  const key = open ? `${open.id} ${open.hash} ${JSON.stringify(open.errors)}` : "";
  if (key === shownModal) return;
  const sameView = open && shownModal.startsWith(`${open.id} ${open.hash} `);
  const typed = sameView ? values(dialog) : {};
  shownModal = key;
  if (!open) {
    dialog.close();
    return;
  }
  dialog.replaceChildren(modalForm(open));
  for (const [name, value] of Object.entries(typed)) dialog.querySelector(`[name="${CSS.escape(name)}"]`).value = value;
  if (!dialog.open) dialog.showModal();
  (dialog.querySelector("[aria-invalid=true]") ?? dialog.querySelector("[autofocus]") ?? dialog.querySelector(".input textarea, .input input, .input select"))?.focus();
}

const values = (holder) => Object.fromEntries([...holder.querySelectorAll("[name]")].map((field) => [field.name, field.value]));

function errorNote(errors) {
  return errors?.[""] ? [h("div", { class: "alert error", role: "alert" }, h("b", {}, "Error"), h("span", {}, errors[""]))] : [];
}

function modalForm(open) {
  const close = () => act("close", { view: open.id });
  const form = h("form", { novalidate: true },
    h("header", {}, h("h2", { id: "modal-title" }, text(open.title)),
      h("button", { type: "button", class: "quiet", "aria-label": "Close", onclick: close }, "✕")),
    h("div", { class: "scroll" }, ...errorNote(open.errors), ...blocks(open.blocks, { view: open.id, errors: open.errors })),
    h("footer", {}, h("button", { type: "button", class: "button", onclick: close }, open.close ? text(open.close) : "Close"),
      open.submit ? h("button", { type: "submit", class: "button primary" }, text(open.submit)) : null));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const send = form.querySelector("[type=submit]");
    if (!send || send.getAttribute("aria-busy") === "true") return;
    send.setAttribute("aria-busy", "true");
    await act("submit", { view: open.id, values: values(form) });
    send.removeAttribute("aria-busy");
  });
  return form;
}

function input(block, context) {
  const error = context.errors?.[block.block_id];
  const id = `input-${block.block_id}`;
  const about = [block.hint ? `${id}-hint` : "", error ? `${id}-error` : ""].filter(Boolean).join(" ");
  const shared = { id, name: block.block_id, "aria-describedby": about || null, "aria-invalid": error ? "true" : null, autofocus: block.element.focus_on_load };
  return h("div", { class: `input${error ? " invalid" : ""}` },
    h("label", { for: id }, text(block.label), block.optional ? h("small", {}, " (optional)") : null),
    field(block.element, shared),
    block.hint ? h("small", { id: `${id}-hint` }, text(block.hint)) : null,
    error ? h("div", { id: `${id}-error`, class: "problem", role: "alert" }, error) : null);
}

function field(item, shared) {
  if (item.type === "static_select") {
    return h("select", shared, h("option", { value: "" }, item.placeholder ? unescape(item.placeholder.text) : "Choose..."),
      ...item.options.map((option) => h("option", { value: option.value, selected: option.value === item.initial_option?.value }, unescape(option.text.text))));
  }
  const placeholder = item.placeholder ? unescape(item.placeholder.text) : null;
  const node = h(item.multiline ? "textarea" : "input", { ...shared, placeholder, maxlength: item.max_length, rows: item.multiline ? 4 : null });
  node.value = item.initial_value ?? "";
  return node;
}

$("modal").addEventListener("cancel", (event) => {
  event.preventDefault();
  if (state.view) act("close", { view: state.view.id });
});

// --- composer ---

function drawComposer() {
  const here = channel();
  $("say").placeholder = here.direct ? `Message ${state.app}` : `Message #${here.name}, or type / for a command`;
  $("composer").hidden = view.tab === "home";
  fill($("suggestions"), state.suggestions.map((command) =>
    part(`s ${command}`, command, () => h("button", {
      type: "button", "data-focus": `s${command}`, onclick: () => {
        $("say").value = command;
        $("say").focus();
      },
    }, command))));
}

$("composer").addEventListener("submit", async (event) => {
  event.preventDefault();
  const typed = $("say").value.trim();
  if (!typed) return;
  $("say").value = "";
  await act("say", { channel: view.channel, text: typed });
  $("log").scrollTop = $("log").scrollHeight;
});

// --- notifications ---

function unreadIn(id) {
  const last = view.seen.get(id) ?? "";
  return (state.messages[id] ?? []).filter((m) => m.ts > last && m.user !== state.me).length;
}

// What is new since the last look: a toast with the notification text for a message of the app in another place or another tab.
function notice() {
  for (const { id, name, direct } of state.channels) {
    const list = state.messages[id] ?? [];
    const newest = list.length ? list[list.length - 1].ts : "";
    const last = view.seen.get(id);
    const key = `told ${id}`;
    const told = view.seen.get(key);
    if (told !== undefined) {
      for (const message of list.filter((m) => m.ts > told && m.app && m.text && !m.ephemeral)) {
        toast(direct ? state.app : `${state.app} in #${name}`, message.text, () => go(id));
      }
    }
    view.seen.set(key, newest);
    if (last === undefined || id === view.channel) view.seen.set(id, newest);
  }
}

function toast(title, words, onclick) {
  const head = onclick ? h("button", { type: "button", class: "go-to", onclick }, title) : h("b", {}, title);
  const node = h("div", { class: "toast" }, head, h("div", {}, mrkdwn(words, state?.names ?? {})));
  node.append(h("button", { type: "button", class: "quiet", "aria-label": "Dismiss notification", onclick: () => node.remove() }, "✕"));
  $("toasts").append(node);
  while ($("toasts").children.length > 3) $("toasts").firstChild.remove();
  setTimeout(() => node.remove(), TOAST_MS);
}

// --- start ---

$("menu").addEventListener("click", () => {
  const open = document.body.classList.toggle("open");
  $("menu").setAttribute("aria-expanded", String(open));
});
document.querySelector("#log").addEventListener("click", closeSidebar);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeSidebar();
});
window.addEventListener("hashchange", () => {
  readPlace();
  load();
});
readPlace();
const feed = new EventSource("/workspace/feed");
feed.addEventListener("message", load);
