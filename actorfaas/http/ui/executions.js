// Executions, newest first: filtered by name and status, a page at a time; the first page is live.

import { get } from './api.js';
import { badge, duration, h, link, moment, number, part, replace, say, table } from './dom.js';

const STATUSES = ['running', 'succeeded', 'failed', 'timed_out', 'cancelled'];
const PAGE = 50;

export function executions(root, _, query, page) {
  const control = new AbortController();
  const name = h('input', { id: 'name', list: 'names', value: query.get('name') ?? '', autocomplete: 'off', onchange: again });
  const names = h('datalist', { id: 'names' });
  const status = h('select', { id: 'status', onchange: again },
    h('option', { value: '' }, 'any status'), STATUSES.map((one) => h('option', { value: one, selected: one === query.get('status') }, one.replace('_', ' '))));
  const given = h('input', { id: 'given', value: query.get('execution_name') ?? '', autocomplete: 'off', onchange: again });
  const body = h('tbody');
  const told = h('p', { class: 'hint', role: 'status' });
  const newer = h('button', { type: 'button', onclick: () => { cursors.pop(); show(); } }, 'Newer');
  const older = h('button', { type: 'button', onclick: () => { cursors.push(next); show(); } }, 'Older');
  let cursors = [];
  let next = null;
  let stop = () => {};

  replace(root,
    h('h1', {}, 'Executions'),
    h('form', { class: 'filters', onsubmit: (event) => { event.preventDefault(); again(); } },
      h('span', {}, h('label', { for: 'name' }, 'Function or workflow'), name, names),
      h('span', {}, h('label', { for: 'status' }, 'Status'), status),
      h('span', {}, h('label', { for: 'given' }, 'Given name begins'), given)),
    told,
    table('Executions', ['Execution', 'Name', 'Status', 'Started', { text: 'Duration', class: 'number' }], body, 'executions'),
    h('nav', { class: 'pages', 'aria-label': 'Pages of executions' }, newer, older));

  function filters() {
    return Object.fromEntries(Object.entries({ name: name.value.trim(), status: status.value, execution_name: given.value.trim() }).filter(([, value]) => value));
  }

  function again() {
    cursors = [];
    const text = new URLSearchParams(filters()).toString();
    page.note(text ? `/executions?${text}` : '/executions');
    show();
  }

  function draw(found) {
    next = found.next_cursor;
    const held = document.activeElement?.closest?.('tr')?.dataset.id;
    replace(body, found.executions.map(executionRow));
    if (held) body.querySelector(`tr[data-id="${CSS.escape(held)}"] a`)?.focus();
    newer.disabled = cursors.length === 0;
    older.disabled = !next;
    const from = cursors.length * PAGE;
    say(told, found.executions.length ? `${number(from + 1)} to ${number(from + found.executions.length)}, newest first` : 'None are like that.');
  }

  function show() {
    stop();
    if (cursors.length) {
      stop = () => {};
      get('/v1/executions', { ...filters(), limit: PAGE, cursor: cursors.at(-1) }, control.signal).then(draw).catch(page.failed);
    } else {
      stop = page.watch({ watch: 'executions', ...filters() }, (_event, found) => draw(found));
    }
  }

  Promise.all([get('/v1/workflows', {}, control.signal), get('/v1/functions', {}, control.signal)]).then(([one, other]) => {
    replace(names, [...one.workflows, ...other.functions].map((each) => h('option', { value: each.name })));
  }).catch(page.failed);
  show();
  return () => { stop(); control.abort(); };
}

function executionRow(one) {
  return h('tr', { 'data-id': one.execution_id },
    h('th', { scope: 'row' }, link(`#/executions/${part(one.execution_id)}`, one.execution_id, { class: 'id' }), one.execution_name ? h('span', { class: 'hint' }, ` ${one.execution_name}`) : null),
    h('td', {}, `${one.name} `, h('span', { class: 'hint' }, `v${one.version}`)),
    h('td', {}, badge(one.status)),
    h('td', {}, moment(one.started_at_ms)),
    h('td', { class: 'number' }, duration(one.duration_ms)));
}
