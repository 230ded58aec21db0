// What calls what, drawn and as a table; what the time goes into, and what a change would gain.

import { get } from './api.js';
import { duration, h, number, rate, replace, say, table } from './dom.js';
import { picture } from './diagram.js';

const WINDOWS = [['', 'at any time'], ['60', 'in the last minute'], ['900', 'in the last 15 minutes'], ['3600', 'in the last hour'], ['86400', 'in the last day']];

const percent = (share) => `${Math.round(100 * share)} %`;
const cell = (text) => h('td', { class: 'number' }, text);

export function flow(root, _, query, page) {
  const control = new AbortController();
  const choice = (id, options) => h('select', { id, onchange: again }, options.map(([value, text]) => h('option', { value, selected: value === (query.get(id) ?? '') }, text)));
  const since = choice('since', WINDOWS);
  const name = choice('name', [['', 'everything']]);
  const parts = skeleton();
  let drawn = '';
  let stop = () => {};

  replace(root,
    h('h1', {}, 'Flow'),
    h('form', { class: 'filters', onsubmit: (event) => event.preventDefault() },
      h('span', {}, h('label', { for: 'name' }, 'Workflow or function'), name),
      h('span', {}, h('label', { for: 'since' }, 'Observed'), since),
      h('span', { class: 'hint' }, 'At most the newest 200 calls and 200 executions that are kept.')),
    parts.all);

  function filters() {
    return Object.fromEntries([['name', name.value], ['since', since.value]].filter(([, value]) => value));
  }

  function again() {
    const text = new URLSearchParams(filters()).toString();
    page.note(text ? `/flow?${text}` : '/flow');
    follow();
  }

  function draw(found) {
    say(parts.bottleneck, found.observed ? `Bottleneck: ${found.bottleneck}` : 'Nothing was observed.');
    say(parts.told, found.observed
      ? `${number(found.observed)} × ${found.name || 'whatever began a trace'}: p50 ${duration(found.p50_ms)}, p99 ${duration(found.p99_ms)}, ${number(found.errors)} failed.`
      : 'All executions are kept, and of plain calls a share: the setting trace_share.');
    parts.results.hidden = !found.edges.length;
    if (found.diagram && found.diagram !== drawn) replace(parts.diagram, picture(found.diagram));
    drawn = found.diagram;
    say(parts.left, found.left_out ? `${number(found.left_out)} more with less time are only in the table below.` : '');
    replace(parts.path, found.critical_path.slice(0, 8).map(shareRow(found)));
    replace(parts.changes, found.what_if.map(changeRow(found)));
    say(parts.caution, found.what_if.length ? caution(found.what_if[0]) : 'There is nothing of which more would help.');
    replace(parts.edges, found.edges.map(edgeRow));
  }

  function follow() {
    stop();
    say(parts.told, 'Working it out…');
    stop = page.watch({ watch: 'flow', ...filters() }, (_event, found) => draw(found));
  }

  Promise.all([get('/v1/workflows', {}, control.signal), get('/v1/functions', {}, control.signal)]).then(([one, other]) => {
    const wanted = query.get('name');
    name.append(...[...one.workflows, ...other.functions].map((each) => h('option', { value: each.name, selected: each.name === wanted }, each.name)));
    follow();
  }).catch(page.failed);
  return () => { stop(); control.abort(); };
}

function skeleton() {
  const body = () => h('tbody');
  const numbers = (...texts) => texts.map((text) => ({ text, class: 'number' }));
  const section = (title, columns, rows, ...after) => h('section', {}, h('h2', {}, title), table(title, columns, rows), after);
  const parts = {
    bottleneck: h('p', { class: 'finding', role: 'status' }), told: h('p', { class: 'hint' }), left: h('p', { class: 'hint' }),
    diagram: h('div', { class: 'picture', role: 'region', 'aria-label': 'What calls what', tabindex: '0' }),
    path: body(), changes: body(), edges: body(), caution: h('p', { class: 'hint' }),
  };
  parts.results = h('div', { hidden: true },
    parts.diagram,
    h('p', { class: 'hint' }, 'Thick lines are the critical path: what the end waited for. The same is in the table “Every connection”.'), parts.left,
    h('div', { class: 'beside' },
      section('On the critical path', [...numbers('Of the time'), 'In', 'What', ...numbers('Each')], parts.path),
      section('What if', ['Change', ...numbers('p50 now', 'p50 then', 'Gain')], parts.changes, parts.caution)),
    section('Every connection', ['From', 'How', 'To', ...numbers('Calls', 'A minute', 'p50', 'p99', 'Waits', 'Failed', 'On the path')], parts.edges));
  parts.all = [parts.bottleneck, parts.told, parts.results];
  return parts;
}

const shareRow = (found) => (one) => h('tr', {}, cell(percent(one.share)), h('th', { scope: 'row' }, one.name), h('td', {}, one.kind), cell(duration(one.ms / found.observed)));

const changeRow = (found) => (one) => h('tr', {}, h('th', { scope: 'row' }, one.change), cell(duration(found.p50_ms)), cell(duration(one.expected_p50_ms)), cell(percent(one.gain)));

function caution({ replay_ratio: ratio }) {
  return `Simulated from what was observed; without a change the simulation takes ${ratio.toFixed(2)} × the time measured. It does not know how many processors there are, nor of calls that were not kept.`;
}

function edgeRow(edge) {
  const place = ({ kind, name, workflow }) => (kind === 'state' ? `${workflow}.${name}` : name);
  const isCall = edge.kind !== 'follows';
  return h('tr', {}, h('th', { scope: 'row' }, place(edge.source)), h('td', {}, edge.kind), h('td', {}, place(edge.target)),
    cell(number(edge.calls)), cell(rate(edge.per_minute)), cell(duration(edge.p50_ms)), cell(duration(edge.p99_ms)),
    cell(isCall ? percent(edge.waited_share) : ''), cell(isCall ? number(edge.errors) : ''), cell(isCall ? percent(edge.critical_share) : ''));
}
