// All functions and workflows with what they do now.

import { get } from './api.js';
import { bytes, duration, h, link, number, part, rate, replace, say } from './dom.js';
import { Figures } from './figures.js';
import { sparkline, startKinds } from './charts.js';

export function functions(root, _, query, page) {
  const figures = new Figures();
  const rows = new Map();
  const body = h('tbody');
  const filter = h('input', { type: 'search', id: 'filter', value: query.get('filter') ?? '', oninput: sift });
  const count = h('p', { class: 'hint', role: 'status' });
  const cards = summary();
  const control = new AbortController();

  replace(root,
    h('h1', {}, 'Functions and workflows'),
    cards.element,
    h('div', { class: 'filters' }, h('label', { for: 'filter' }, 'Name contains'), filter),
    count,
    h('div', { class: 'scroll', role: 'region', 'aria-label': 'Functions and workflows', tabindex: '0' },
      h('table', { class: 'functions' },
        h('thead', {}, h('tr', {}, ['Name', 'Kind', 'Calls/s', 'p50', 'p99', 'Errors/s', 'Waiting', 'Busy', 'How instances were had'].map(
          (text, index) => h('th', { scope: 'col', class: index > 1 && index < 8 ? 'number' : '' }, text)))),
        body)));

  function sift() {
    const wanted = filter.value.trim().toLowerCase();
    let visible = 0;
    for (const [name, row] of rows) {
      row.element.hidden = Boolean(wanted) && !name.toLowerCase().includes(wanted);
      visible += row.element.hidden ? 0 : 1;
    }
    say(count, rows.size ? `${number(visible)} of ${number(rows.size)}` : 'Nothing is deployed yet: actorfaas deploy app.py');
    page.note(wanted ? `/?filter=${part(wanted)}` : '/');
  }

  function draw() {
    cards.draw(figures);
    for (const [name, row] of rows) if (!row.element.hidden) row.draw(figures.of(name), figures.topics.all);
  }

  async function load() {
    const [functionsFound, workflowsFound] = await Promise.all([get('/v1/functions', {}, control.signal), get('/v1/workflows', {}, control.signal)]);
    const all = [
      ...workflowsFound.workflows.map((one) => ({ ...one, kind: 'workflow', of: 'workflows' })),
      ...functionsFound.functions.map((one) => ({ ...one, kind: 'function', of: 'functions' })),
    ];
    rows.clear();
    for (const one of all) rows.set(one.name, targetRow(one));
    replace(body, [...rows.values()].map((row) => row.element));
    sift();
    draw();
  }

  load().catch(page.failed);
  let known = '';
  const stop = page.watch({ watch: 'node' }, (_event, document) => {
    figures.take(document);
    const topics = [...figures.topics.all.keys()].filter((topic) => !topic.includes('!')).sort().join();
    if (known && topics !== known) load().catch(page.failed); // something was deployed or removed
    known = topics;
    draw();
  });
  return () => { stop(); control.abort(); };
}

function targetRow(one) {
  const cells = Object.fromEntries(['rate', 'p50', 'p99', 'errors', 'waiting', 'busy'].map((name) => [name, h('td', { class: 'number' })]));
  const kinds = startKinds();
  const element = h('tr', {},
    h('th', { scope: 'row' }, link(`#/${one.of}/${part(one.name)}`, one.name), h('span', { class: 'hint' }, ` ${one.app} v${one.version}`)),
    h('td', {}, one.kind), Object.values(cells), h('td', {}, kinds.element));
  return {
    element,
    draw(figure, topics) {
      say(cells.rate, rate(figure.rate));
      say(cells.p50, duration(figure.p50));
      say(cells.p99, duration(figure.p99));
      say(cells.errors, rate(figure.errors));
      cells.errors.classList.toggle('wrong', figure.errors > 0);
      const topic = topics.get(one.topic);
      say(cells.waiting, topic ? number(topic.waiting) : '–');
      say(cells.busy, topic ? `${topic.busy} of ${topic.members}` : '–');
      kinds.draw(figure.kinds);
    },
  };
}

function summary() {
  const values = {};
  const card = (name, extra) => h('div', { class: 'card' }, h('dt', {}, name), values[name] = h('dd', {}), extra);
  const line = sparkline();
  const element = h('dl', { class: 'cards', 'aria-label': 'The node now' },
    card('Calls/s', h('dd', {}, line.element)), card('Latency p50'), card('Latency p99'), card('Errors/s'), card('Executions running'), card('Workers'), card('Memory of functions'));
  return {
    element,
    draw(figures) {
      if (!figures.head) return;
      const node = figures.node(), head = figures.head;
      const workers = Object.values(head.workers).reduce((sum, one) => sum + one, 0);
      say(values['Calls/s'], rate(node.rate));
      say(values['Latency p50'], duration(node.p50));
      say(values['Latency p99'], duration(node.p99));
      say(values['Errors/s'], rate(node.errors));
      say(values['Executions running'], number(head.running_executions));
      say(values.Workers, `${number(workers)}${head.workers.swapped ? `, ${number(head.workers.swapped)} swapped` : ''}`);
      const { usage_bytes: used, budget_bytes: budget } = head.memory;
      say(values['Memory of functions'], used ? `${bytes(used)}${budget ? ` of ${bytes(budget)}` : ''}` : 'not measured');
      line.draw(figures.history);
    },
  };
}
