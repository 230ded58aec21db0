// The pool of workers as a picture: a square for each, by function; memory against the budget.

import { Rows } from './api.js';
import { bytes, duration, h, link, number, part, replace, say } from './dom.js';

const STATES = [
  ['busy', 'busy'], ['reserved', 'reserved'], ['resident', 'resident, idle'], ['paging_out', 'being paged out'],
  ['swapped', 'swapped out'], ['paging_in', 'being paged in'], ['forking', 'starting'],
];
const LISTED = 50;

function stateOf(worker) {
  if (worker.activity === 'busy') return 'busy';
  return worker.state === 'reporting' || !worker.state ? 'forking' : worker.state;
}

export function workers(root, _, _query, page) {
  const rows = new Rows();
  const groups = new Map();
  const told = h('p', { role: 'status' });
  const paging = h('p', { class: 'hint' });
  const memory = bar('Memory of functions'), swap = bar('Swap of the machine');
  const place = h('div');
  replace(root, h('h1', {}, 'Workers'), told,
    h('div', { class: 'beside' }, memory.element, swap.element), paging,
    h('p', { class: 'legend' }, STATES.map(([state, text]) => h('span', {}, h('i', { class: `worker ${state}`, 'aria-hidden': 'true' }), ` ${text}`))),
    place);

  function take(document) {
    const before = new Map(rows.all);
    const all = rows.update(document.whole, document.workers);
    const touched = new Set();
    for (const key of document.whole ? before.keys() : document.workers.gone) touch(before.get(key), (group) => group.remove(key), touched);
    for (const key of Object.keys(document.workers.changed)) touch(all.get(key), (group) => group.put(key, all.get(key)), touched);
    for (const name of touched) {
      const group = groups.get(name);
      if (group.size) group.draw();
      else { group.element.remove(); groups.delete(name); }
    }
    head(document, all);
  }

  function touch(worker, change, touched) {
    if (!worker) return;
    const name = `${worker.function}@${worker.version}`;
    if (!groups.has(name)) {
      groups.set(name, workerGroup(worker));
      const after = [...groups.keys()].sort().find((one) => one > name);
      place.insertBefore(groups.get(name).element, after ? groups.get(after).element : null);
    }
    change(groups.get(name));
    touched.add(name);
  }

  function head(document, all) {
    const counts = count([...all.values()]);
    say(told, `${number(all.size)} ${all.size === 1 ? 'worker' : 'workers'} of ${number(groups.size)} ${groups.size === 1 ? 'function' : 'functions'}: ${words(counts)}`);
    say(paging, document.paging_sentence);
    memory.draw(document.memory_usage_bytes, document.memory_budget_bytes, document.memory_usage_bytes ? 'no budget is set' : 'not measured on this machine');
    swap.draw(document.swap_used_bytes, document.swap_total_bytes, 'there is none');
  }

  return page.watch({ watch: 'workers' }, (_event, document) => take(document));
}

function count(all) {
  const counts = new Map();
  for (const worker of all) counts.set(stateOf(worker), (counts.get(stateOf(worker)) ?? 0) + 1);
  return counts;
}

function words(counts) {
  return STATES.filter(([state]) => counts.get(state)).map(([state, text]) => `${number(counts.get(state))} ${text}`).join(', ') || 'none';
}

function bar(name) {
  const fill = h('div', { class: 'fill' });
  const text = h('p', {});
  return {
    element: h('div', { class: 'gauge' }, text, h('div', { class: 'track', 'aria-hidden': 'true' }, fill)),
    draw(used, most, otherwise) {
      say(text, most ? `${name}: ${bytes(used)} of ${bytes(most)} (${Math.round((100 * used) / most)} %)` : `${name}: ${used ? `${bytes(used)}, ` : ''}${otherwise}`);
      fill.style.width = most ? `${Math.min(100, (100 * used) / most)}%` : '0';
      fill.classList.toggle('full', most > 0 && used / most > 0.9);
    },
  };
}

function workerGroup({ function: name, version }) {
  const squares = new Map();
  const all = new Map();
  const picture = h('div', { class: 'pool', role: 'img' });
  const sums = h('p', {});
  const list = h('div');
  const more = h('details', { ontoggle: () => draw() }, h('summary', {}, `Workers of ${name}, one by one`), list);
  const heading = `${name}@${version}`;
  let at = 0;

  function draw() {
    const workers = [...all.values()];
    const text = words(count(workers));
    const sum = (key) => workers.reduce((total, worker) => total + (worker[key] ?? 0), 0);
    const isMeasured = workers.some((worker) => worker.usage_bytes !== null);
    say(sums, `${text}${isMeasured ? `; ${bytes(sum('usage_bytes'))} in memory, ${bytes(sum('swap_bytes'))} in swap` : ''}`);
    picture.setAttribute('aria-label', `${heading}: ${text}`);
    if (more.open) listing(workers);
  }

  function listing(workers) {
    at = Math.min(at, Math.max(0, Math.ceil(workers.length / LISTED) - 1));
    const page = workers.slice(at * LISTED, (at + 1) * LISTED);
    const turn = (by, text, isOff) => h('button', { type: 'button', disabled: isOff, onclick: () => { at += by; draw(); } }, text);
    replace(list, h('div', { class: 'scroll', role: 'region', 'aria-label': `Workers of ${heading}`, tabindex: '0' },
      h('table', {}, h('thead', {}, h('tr', {}, ['Process', 'State', 'Had by', 'Calls', 'In memory', 'In swap', 'Working set', 'Last page-in', 'Works for'].map((one) => h('th', { scope: 'col' }, one)))),
        h('tbody', {}, page.map((worker) => h('tr', {},
          h('th', { scope: 'row' }, String(worker.pid)), h('td', {}, stateOf(worker).replace('_', ' ')), h('td', {}, worker.start_kind), h('td', {}, number(worker.tasks)),
          h('td', {}, bytes(worker.usage_bytes)), h('td', {}, bytes(worker.swap_bytes)), h('td', {}, bytes(worker.working_set_bytes)), h('td', {}, duration(worker.last_page_in_ms)),
          h('td', {}, worker.execution_id ? link(`#/executions/${part(worker.execution_id)}`, worker.execution_id, { class: 'id' }) : worker.request_id || '–')))))),
    workers.length > LISTED ? h('nav', { class: 'pages', 'aria-label': `Pages of workers of ${heading}` }, turn(-1, 'Before', at === 0), turn(1, 'Next', (at + 1) * LISTED >= workers.length)) : null);
  }

  return {
    element: h('section', { class: 'group' }, h('h2', {}, link(`#/functions/${part(name)}`, heading)), sums, picture, more),
    get size() { return all.size; },
    put(key, worker) {
      all.set(key, worker);
      const square = squares.get(key) ?? picture.appendChild(h('i'));
      squares.set(key, square);
      square.className = `worker ${stateOf(worker)}`;
      square.title = `${key}: ${stateOf(worker).replace('_', ' ')}`;
    },
    remove(key) {
      all.delete(key);
      squares.get(key)?.remove();
      squares.delete(key);
    },
    draw,
  };
}
