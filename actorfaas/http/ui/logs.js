// What functions wrote: live lines with filters.

import { clock, h, link, number, part, replace, say } from './dom.js';

const KEPT = 2000;

export function logs(root, _, query, page) {
  const fields = ['function', 'execution', 'request', 'trace'].map((name) => [name, h('input', { id: name, value: query.get(name) ?? '', autocomplete: 'off', spellcheck: 'false', onchange: again })]);
  const place = h('div');
  let stop = () => {};

  function again() {
    const filters = Object.fromEntries(fields.map(([name, field]) => [name, field.value.trim()]).filter(([, value]) => value));
    const text = new URLSearchParams(filters).toString();
    page.note(text ? `/logs?${text}` : '/logs');
    stop();
    const lines = logLines(filters);
    replace(place, lines.element);
    stop = page.watch({ watch: 'logs', ...filters }, (_event, document) => lines.take(document));
  }

  replace(root, h('h1', {}, 'Logs'),
    h('form', { class: 'filters', onsubmit: (event) => { event.preventDefault(); again(); } },
      fields.map(([name, field]) => h('span', {}, h('label', { for: name }, name[0].toUpperCase() + name.slice(1)), field))),
    place);
  again();
  return () => stop();
}

/** Lines as they are told, and a field that sifts them by their text. */
export function logLines(filters) {
  const list = h('ol', { class: 'lines' });
  const place = h('div', { class: 'log', role: 'region', 'aria-label': 'Log lines', tabindex: '0' }, list);
  const told = h('p', { class: 'hint', role: 'status' });
  const sift = h('input', { id: 'text', type: 'search', oninput: () => { for (const line of list.children) hide(line); tell(); } });
  const pause = h('button', { type: 'button', 'aria-pressed': 'false', onclick: hold }, 'Pause');
  let held = [];
  let last = 0;
  const isPaused = () => pause.getAttribute('aria-pressed') === 'true';

  function hold() {
    pause.setAttribute('aria-pressed', String(!isPaused()));
    if (!isPaused()) show(held.splice(0));
    tell();
  }

  function hide(line) {
    line.hidden = !line.textContent.toLowerCase().includes(sift.value.trim().toLowerCase());
  }

  function tell() {
    const visible = [...list.children].filter((line) => !line.hidden).length;
    say(told, `${number(visible)} ${visible === 1 ? 'line' : 'lines'}${isPaused() && held.length ? `, ${number(held.length)} more wait` : ''}`);
  }

  function show(lines) {
    const isAtEnd = place.scrollHeight - place.scrollTop - place.clientHeight < 40;
    const made = lines.map((line) => lineElement(line, filters));
    made.forEach(hide);
    list.append(...made);
    while (list.children.length > KEPT) list.firstChild.remove();
    if (isAtEnd) place.scrollTop = place.scrollHeight;
  }

  /** A connection that came again tells what is here already, too. */
  function take(document) {
    const lines = document.lines.filter((line) => line.seq > last);
    last = Math.max(last, ...lines.map((line) => line.seq));
    if (isPaused()) held = [...held, ...lines].slice(-KEPT);
    else show(lines);
    tell();
  }

  return {
    element: h('div', {}, h('div', { class: 'filters' }, h('span', {}, h('label', { for: 'text' }, 'Line contains'), sift), pause, told), place),
    take,
  };
}

function lineElement(line, filters) {
  const level = line.level.toLowerCase() || (line.stream === 'stderr' ? 'stderr' : '');
  return h('li', { class: level },
    h('time', { datetime: new Date(line.at_ms).toISOString() }, clock(line.at_ms)), ' ',
    h('span', { class: 'level' }, (line.level || line.stream).padEnd(7)), ' ',
    filters.function ? null : h('span', { class: 'of' }, `${line.function} `),
    filters.execution || !line.execution_id ? null : [link(`#/executions/${part(line.execution_id)}`, line.execution_id.slice(-6), { title: line.execution_id }), ' '],
    h('span', { class: 'text' }, line.text));
}
