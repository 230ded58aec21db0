// Elements, and numbers and times in words. Text always becomes text nodes: nothing that the node says is markup.

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name in element && typeof value !== 'string') element[name] = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Put text into an element if it has another one: what has not changed is neither drawn nor announced again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function replace(parent, ...children) {
  parent.replaceChildren(...children.flat().filter(Boolean));
}

export function link(href, text, attributes = {}) {
  return h('a', { href, ...attributes }, text);
}

export const part = encodeURIComponent;

export function number(value) {
  return value.toLocaleString('en');
}

export function rate(perSecond) {
  if (!perSecond) return '0';
  return perSecond >= 100 ? number(Math.round(perSecond)) : perSecond.toFixed(perSecond >= 10 ? 1 : 2);
}

export function duration(ms) {
  if (ms === null || ms === undefined) return '–';
  if (ms === 0) return '0 ms';
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  if (ms < 100) return `${Number(ms.toFixed(1))} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} min ${Math.round((ms % 60_000) / 1000)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function bytes(count) {
  if (count === null || count === undefined) return '–';
  let value = count;
  for (const unit of ['B', 'KiB', 'MiB', 'GiB']) {
    if (value < 1024 || unit === 'GiB') return `${value < 10 && unit !== 'B' ? value.toFixed(1) : Math.round(value)} ${unit}`;
    value /= 1024;
  }
  return '';
}

export function moment(atMs) {
  return h('time', { datetime: new Date(atMs).toISOString() }, clock(atMs));
}

/** The time of day, with the date in front unless that is today. */
export function clock(atMs) {
  const at = new Date(atMs);
  const pad = (value, length = 2) => String(value).padStart(length, '0');
  const time = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}.${pad(at.getMilliseconds(), 3)}`;
  const day = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
  return at.toDateString() === new Date().toDateString() ? time : `${day} ${time}`;
}

const SIGNS = { running: '▶', succeeded: '✓', failed: '✕', timed_out: '◷', cancelled: '–' };

export function badge(status) {
  return h('span', { class: `badge ${status}` }, h('span', { 'aria-hidden': 'true' }, SIGNS[status] ?? ''), ` ${status.replace('_', ' ')}`);
}

/** A JSON value for people to read; long ones are cut until they are asked for. */
export function json(value, limit = 20_000) {
  const text = typeof value === 'string' ? value : JSON.stringify(value, null, 2);
  const shown = h('pre', { class: 'json', tabindex: '0' }, text.slice(0, limit));
  if (text.length <= limit) return shown;
  const more = h('button', { type: 'button', onclick: () => { shown.textContent = text; more.remove(); shown.focus(); } },
    `Show all ${number(text.length)} characters`);
  return h('div', {}, shown, more);
}

export function facts(pairs) {
  return h('dl', { class: 'facts' }, pairs.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));
}

export function table(label, columns, body, kind = '') {
  return h('div', { class: 'scroll', role: 'region', 'aria-label': label, tabindex: '0' },
    h('table', { class: kind }, h('thead', {}, h('tr', {}, columns.map((column) => h('th', { scope: 'col', class: column.class }, column.text ?? column)))), body));
}
