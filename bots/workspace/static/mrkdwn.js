// Slack's text formats as DOM nodes. Everything ends in text nodes: no markup of a message is ever parsed as HTML.

export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const unescape = (text) => text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");

// The signs of status are coloured glyphs that ordinary text fonts have: many machines have no emoji font.
const SIGNS = {
  white_check_mark: ["✔", "go"], heavy_check_mark: ["✔", "go"], x: ["✖", "stop"], no_entry: ["✖", "stop"],
  no_entry_sign: ["✖", "stop"], warning: ["⚠", "warn"], rotating_light: ["⚠", "stop"], hourglass: ["⌛", "soft"],
  hourglass_flowing_sand: ["⌛", "soft"], red_circle: ["●", "stop"], large_orange_circle: ["●", "warn"],
  large_yellow_circle: ["●", "warn"], large_green_circle: ["●", "go"], large_blue_circle: ["●", "info"],
  white_circle: ["○", "soft"], information_source: ["ℹ", "info"],
};
const EMOJI = {
  lock: "🔒", unlock: "🔓", eyes: "👀", robot_face: "🤖", wave: "👋", bust_in_silhouette: "👤", memo: "📝", mag: "🔍",
  tada: "🎉", question: "❓",
};

function emoji(name) {
  const [glyph, kind] = SIGNS[name] ?? [];
  if (glyph) return h("span", { class: `glyph ${kind}`, role: "img", "aria-label": name.replaceAll("_", " ") }, glyph);
  return document.createTextNode(EMOJI[name] ?? `:${name}:`);
}

// Order matters: code first, because nothing inside it is formatted.
const TOKEN = /```([\s\S]+?)```|`([^`\n]+)`|<([^<>\n]+)>|:([a-z0-9_+-]+):|(?<![\w*])\*(\S(?:[^*\n]*\S)?)\*(?![\w*])|(?<!\w)_(\S(?:[^_\n]*\S)?)_(?!\w)|(?<![\w~])~(\S(?:[^~\n]*\S)?)~(?![\w~])/;

export function mrkdwn(text, names) {
  const lines = text.split("\n");
  const holder = document.createDocumentFragment();
  let quote = null;
  let plain = [];
  const flush = () => {
    if (plain.length) holder.append(...inline(plain.join("\n"), names));
    plain = [];
  };
  const fenced = text.includes("```");
  for (const line of lines) {
    const quoted = !fenced && /^(&gt;|>)\s?/.exec(line);
    if (quoted) {
      flush();
      quote ??= holder.appendChild(h("blockquote"));
      if (quote.childNodes.length) quote.append(h("br"));
      quote.append(...inline(line.slice(quoted[0].length), names));
    } else {
      quote = null;
      plain.push(line);
    }
  }
  flush();
  return holder;
}

function inline(text, names) {
  const nodes = [];
  let rest = text;
  for (let found = TOKEN.exec(rest); found; found = TOKEN.exec(rest)) {
    nodes.push(...breaks(rest.slice(0, found.index)));
    nodes.push(token(found, names));
    rest = rest.slice(found.index + found[0].length);
  }
  nodes.push(...breaks(rest));
  return nodes;
}

function breaks(text) {
  const nodes = [];
  text.split("\n").forEach((line, index) => {
    if (index) nodes.push(h("br"));
    if (line) nodes.push(document.createTextNode(unescape(line)));
  });
  return nodes;
}

function token([, fence, code, angle, shortcode, bold, italic, strike], names) {
  if (fence !== undefined) return h("pre", {}, unescape(fence.replace(/^\n/, "")));
  if (code !== undefined) return h("code", {}, unescape(code));
  if (angle !== undefined) return reference(angle, names);
  if (shortcode !== undefined) return emoji(shortcode);
  if (bold !== undefined) return h("strong", {}, ...inline(bold, names));
  if (italic !== undefined) return h("em", {}, ...inline(italic, names));
  return h("s", {}, ...inline(strike, names));
}

function reference(inner, names) {
  const [target, label] = split(inner);
  if (target.startsWith("@")) return mention(`@${names[target.slice(1)] ?? target.slice(1)}`);
  if (target.startsWith("#")) return mention(`#${names[target.slice(1)] ?? target.slice(1)}`);
  if (target.startsWith("!subteam^")) return mention(`@${names[target.slice(9)] ?? label ?? "group"}`);
  if (target.startsWith("!date^")) return date(target, label);
  if (target.startsWith("!")) return mention(`@${target.slice(1)}`);
  return link(unescape(target), unescape(label ?? target));
}

function split(inner) {
  const bar = inner.indexOf("|");
  return bar < 0 ? [inner, undefined] : [inner.slice(0, bar), inner.slice(bar + 1)];
}

const mention = (text) => h("span", { class: "mention" }, text);

export function link(url, label) {
  if (!/^(https?:|mailto:)/i.test(url)) return document.createTextNode(label);
  return h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, label);
}

const DATES = {
  date_num: { year: "numeric", month: "2-digit", day: "2-digit" },
  date: { year: "numeric", month: "long", day: "numeric" },
  date_short: { year: "numeric", month: "short", day: "numeric" },
  date_long: { weekday: "long", year: "numeric", month: "long", day: "numeric" },
  time: { hour: "2-digit", minute: "2-digit" },
  time_secs: { hour: "2-digit", minute: "2-digit", second: "2-digit" },
};

export function when(seconds, format) {
  const at = new Date(seconds * 1000);
  return format.replace(/\{(\w+?)(_pretty)?\}/g, (whole, name, pretty) => {
    if (pretty && at.toDateString() === new Date().toDateString()) return "today";
    return DATES[name] ? new Intl.DateTimeFormat(undefined, DATES[name]).format(at) : whole;
  });
}

function date(target, fallback) {
  const [, seconds, format] = target.split("^");
  const at = new Date(Number(seconds) * 1000);
  if (!format || Number.isNaN(at.getTime())) return document.createTextNode(unescape(fallback ?? ""));
  return h("time", { datetime: at.toISOString(), title: unescape(fallback ?? "") }, when(Number(seconds), unescape(format)));
}

// rich_text: literal text with explicit styles, so nothing is parsed.
const LISTS = { bullet: "ul", ordered: "ol" };

export function richText(elements, names) {
  return elements.map((element) => {
    switch (element.type) {
      case "rich_text_preformatted":
        return h("pre", { tabindex: "0", "aria-label": "Code" }, ...element.elements.map((part) => part.text ?? part.url));
      case "rich_text_quote":
        return h("blockquote", {}, ...parts(element.elements, names));
      case "rich_text_list":
        return h(LISTS[element.style] ?? "ul", {}, ...element.elements.map((item) => h("li", {}, ...parts(item.elements, names))));
      default:
        return h("div", { class: "rich" }, ...parts(element.elements, names));
    }
  });
}

const STYLES = { bold: "strong", italic: "em", strike: "s", code: "code" };

function parts(elements, names) {
  return elements.flatMap((part) => {
    const nodes = part.type === "text" ? literal(part.text) : [richPart(part, names)];
    return Object.entries(STYLES).reduce(
      (inner, [style, tag]) => (part.style?.[style] ? [h(tag, {}, ...inner)] : inner), nodes);
  });
}

function literal(text) {
  return text.split("\n").flatMap((line, index) => (index ? [h("br"), line] : [line]));
}

function richPart(part, names) {
  switch (part.type) {
    case "link": return link(part.url, part.text ?? part.url);
    case "user": return mention(`@${names[part.user_id] ?? part.user_id}`);
    case "usergroup": return mention(`@${names[part.usergroup_id] ?? part.usergroup_id}`);
    case "channel": return mention(`#${names[part.channel_id] ?? part.channel_id}`);
    case "broadcast": return mention(`@${part.range}`);
    case "emoji": return emoji(part.name);
    case "date": return h("time", {}, when(part.timestamp, part.format));
    default: return document.createTextNode("");
  }
}
