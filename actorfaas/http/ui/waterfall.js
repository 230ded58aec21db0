// The states of an execution in time: a table with a bar for every visit, a page at a time.

import { badge, bytes, duration, facts, h, number, replace, say } from './dom.js';

const PAGE = 100;
const PARTS = [['queue_ms', 'queue', 'waits for an instance'], ['page_in_ms', 'page-in', 'waits for its memory'], ['start_ms', 'start', 'starts'], ['run_ms', 'run', 'runs']];

/** `output(visit)` resolves to what a state returned, as text. */
export function waterfall(output) {
  const body = h('tbody');
  const told = h('p', { class: 'hint', role: 'status' });
  const earlier = h('button', { type: 'button', onclick: () => turn(-1) }, 'Earlier');
  const later = h('button', { type: 'button', onclick: () => turn(1) }, 'Later');
  const pages = h('nav', { class: 'pages', 'aria-label': 'Pages of states' }, earlier, later);
  const wrong = h('input', { type: 'checkbox', id: 'only-wrong', onchange: () => { at = 0; redraw(); } });
  const rows = new Map();
  let execution = null;
  let visits = [];
  let at = 0;

  function turn(by) {
    at += by;
    redraw();
  }

  function redraw() {
    if (!execution) return;
    const all = visits.map((visit, index) => [index, visit]);
    const wanted = wrong.checked ? all.filter(([, visit]) => visit.status !== 'succeeded') : all;
    at = Math.max(0, Math.min(at, Math.ceil(wanted.length / PAGE) - 1));
    const page = wanted.slice(at * PAGE, (at + 1) * PAGE);
    const scale = { from: execution.started_at_ms, to: Math.max(execution.ended_at_ms ?? Date.now(), execution.started_at_ms + 1) };
    const shown = new Set(page.map(([index]) => index));
    for (const [index, row] of rows) if (!shown.has(index)) { row.remove(); rows.delete(index); }
    for (const [index, visit] of page) {
      if (!rows.has(index)) rows.set(index, visitRow(output));
      rows.get(index).draw(visit, scale);
      body.append(...rows.get(index).elements);
    }
    earlier.disabled = at === 0;
    later.disabled = (at + 1) * PAGE >= wanted.length;
    pages.hidden = wanted.length <= PAGE;
    say(told, wanted.length ? `${number(at * PAGE + 1)} to ${number(at * PAGE + page.length)} of ${number(wanted.length)}` : 'None yet.');
  }

  return {
    element: h('div', {},
      h('div', { class: 'filters' }, h('span', {}, wrong, h('label', { for: 'only-wrong' }, 'Only those that did not succeed')), told),
      h('p', { class: 'legend' }, [...PARTS, ['', 'rest', 'is under way otherwise']].map(([, name, text]) => h('span', {}, h('i', { class: `segment ${name}`, 'aria-hidden': 'true' }), ` ${text}`))),
      h('div', { class: 'scroll', role: 'region', 'aria-label': 'States in time', tabindex: '0' },
        h('table', { class: 'waterfall' },
          h('thead', {}, h('tr', {}, ['State', 'Status', 'Instance', 'Time', 'Took'].map((text, index) => h('th', { scope: 'col', class: index === 4 ? 'number' : '' }, text)))),
          body)),
      pages),
    draw(document, all) {
      execution = document;
      visits = all;
      redraw();
    },
    tick: redraw,
  };
}

function visitRow(output) {
  const name = h('button', { type: 'button', class: 'plain', 'aria-expanded': 'false', onclick: toggle });
  const where = h('span', { class: 'hint' });
  const status = h('td');
  const kind = h('td');
  const bar = h('div', { class: 'track' });
  const took = h('td', { class: 'number' });
  const element = h('tr', {}, h('th', { scope: 'row' }, name, where), status, kind, h('td', {}, bar), took);
  const inside = h('td', { colSpan: 5 });
  const more = h('tr', { class: 'more', hidden: true }, inside);
  let visit = null;
  let drawn = '';

  function toggle() {
    more.hidden = !more.hidden;
    name.setAttribute('aria-expanded', String(!more.hidden));
    if (!more.hidden) details();
  }

  function details() {
    const returned = h('div', {}, '…');
    replace(inside, visit.worker ? facts([
      ['attempt', String(visit.attempt)], ['worker', visit.worker], ['waited', duration(visit.queue_ms)], ['for its memory', duration(visit.page_in_ms)],
      visit.prefetch_ms ? ['its memory read before its turn', duration(visit.prefetch_ms)] : null, visit.page_in_bytes ? ['read', bytes(visit.page_in_bytes)] : null, ['started in', duration(visit.start_ms)],
      ['ran', duration(visit.run_ms)], ['since the state before', duration(visit.gap_ms)],
    ].filter(Boolean)) : null,
    visit.error_type ? h('p', { class: 'notice wrong' }, h('strong', {}, visit.error_type), `: ${visit.error_message}`) : null,
    h('h3', {}, 'Its output begins'), returned);
    output(visit).then((text) => (text === null ? say(returned, 'nothing') : replace(returned, h('pre', { class: 'json', tabindex: '0' }, text))))
      .catch((error) => { if (error.name !== 'AbortError') say(returned, error.message); });
  }

  return {
    elements: [element, more],
    remove() { element.remove(); more.remove(); },
    draw(now, scale) {
      visit = now;
      const end = visit.ended_at_ms ?? scale.to;
      position(bar, visit, end, scale);
      // The journal's instants are whole milliseconds; what a task itself took is known better.
      const span = end - visit.entered_at_ms, sum = tookOf(visit);
      say(took, duration(span < 5 && sum ? sum : span));
      const text = JSON.stringify(now);
      if (text === drawn) return;
      drawn = text;
      say(name, visit.name);
      say(where, visit.index === null ? '' : ` #${visit.index}`);
      replace(status, badge(visit.status), visit.attempt > 1 ? h('span', { class: 'hint' }, ` attempt ${visit.attempt}`) : null);
      say(kind, visit.start_kind);
      if (!more.hidden) details();
    },
  };
}

const tookOf = (visit) => PARTS.reduce((sum, [key]) => sum + visit[key], 0);

function position(track, visit, end, { from, to }) {
  const share = (ms) => (100 * ms) / (to - from);
  const sum = tookOf(visit);
  const span = Math.max(end - visit.entered_at_ms, sum, 0);
  const bar = track.firstChild ?? track.appendChild(h('div', { 'aria-hidden': 'true' }));
  bar.className = `visit ${visit.status}`;
  bar.style.marginLeft = `${Math.min(99, Math.max(0, share(end - span - from)))}%`;
  bar.style.width = `${Math.min(100, Math.max(0.4, share(span)))}%`;
  const segments = sum ? [['rest', Math.max(0, span - sum)], ...PARTS.map(([key, name]) => [name, visit[key]])] : [['rest', 1]];
  while (bar.children.length > segments.length) bar.lastChild.remove();
  segments.forEach(([name, ms], index) => {
    const segment = bar.children[index] ?? bar.appendChild(h('i'));
    segment.className = `segment ${name}`;
    segment.style.flexGrow = ms;
  });
}
