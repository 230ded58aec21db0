// One function or workflow: its settings, its picture, and a form that starts it.

import { get, post } from './api.js';
import { duration, facts, h, json, link, number, part, rate, replace, say } from './dom.js';
import { picture } from './diagram.js';
import { Figures } from './figures.js';

export function target(root, [kind, name], query, page) {
  const control = new AbortController();
  const figures = new Figures();
  const now = h('p', { 'aria-live': 'off' });
  const about = h('section', { 'aria-labelledby': 'about' }, h('h2', { id: 'about' }, 'Settings'));
  page.title(name);
  replace(root,
    h('h1', {}, name),
    now,
    h('p', { class: 'links' }, link(`#/executions?name=${part(name)}`, 'Its executions'), ' ', kind === 'functions' ? link(`#/logs?function=${part(name)}`, 'Its logs') : ''),
    startForm(name, query.get('input') ?? '{}', page),
    kind === 'workflows' ? diagram(name, page) : null,
    about);

  get(`/v1/${kind}/${part(name)}`, {}, control.signal).then((one) => {
    if (one.description) now.before(h('p', {}, one.description));
    const { definition, ...settings } = one;
    const shown = Object.entries(settings).filter(([key]) => !['name', 'description'].includes(key));
    about.append(facts(shown.map(([key, value]) => [key, Array.isArray(value) ? value.join(', ') || 'none' : String(value) || '–'])));
    if (definition) about.append(h('details', {}, h('summary', {}, 'Definition (Amazon States Language)'), json(definition)));
  }).catch(page.failed);

  const stop = page.watch({ watch: 'node' }, (_event, document) => {
    figures.take(document);
    const one = figures.of(name);
    say(now, `${rate(one.rate)} calls/s, ${rate(one.errors)} errors/s, p50 ${duration(one.p50)}, p99 ${duration(one.p99)}; `
      + `${number(one.calls)} calls and ${number(one.failed)} failures since the node started`);
  });
  return () => { stop(); control.abort(); };
}

function diagram(name, page) {
  const place = h('div', { class: 'picture', role: 'region', 'aria-label': `Diagram of ${name}`, tabindex: '0' });
  get(`/v1/workflows/${part(name)}/diagram`).then((text) => replace(place, picture(text))).catch(page.failed);
  return h('section', { 'aria-labelledby': 'diagram' }, h('h2', { id: 'diagram' }, 'Diagram'), place);
}

function startForm(name, input, page) {
  const field = h('textarea', { id: 'input', rows: '6', spellcheck: 'false', 'aria-describedby': 'input-error', autocomplete: 'off' });
  field.value = input;
  const error = h('p', { id: 'input-error', class: 'wrong', role: 'alert' });
  const button = h('button', { type: 'submit', class: 'primary' }, 'Start');

  async function submit(event) {
    event.preventDefault();
    const trouble = notJson(field.value);
    field.toggleAttribute('aria-invalid', false);
    say(error, trouble);
    if (trouble) {
      field.setAttribute('aria-invalid', 'true');
      field.focus();
      return;
    }
    button.disabled = true;
    try {
      const headers = { 'content-type': 'application/json', prefer: 'respond-async' };
      const started = await post(`/v1/invoke/${part(name)}`, { headers, body: field.value });
      page.go(`/executions/${started.execution_id}`);
    } catch (problem) {
      say(error, problem.message);
    } finally {
      button.disabled = false;
    }
  }

  return h('section', { 'aria-labelledby': 'start' },
    h('h2', { id: 'start' }, 'Start an execution'),
    h('form', { onsubmit: submit, novalidate: true }, h('label', { for: 'input' }, 'Input (JSON; empty means null)'), field, error, button));
}

/** Why text is not JSON, in a sentence with the place; "" when it is. */
export function notJson(text) {
  if (!text.trim()) return '';
  try {
    JSON.parse(text);
    return '';
  } catch (error) {
    const said = error.message.replace(/^JSON\.parse: /, '');
    const position = /position (\d+)/.exec(said);
    if (!position || /line \d+/.test(said)) return `This is not JSON: ${said}`;
    const before = text.slice(0, Number(position[1])).split('\n');
    return `This is not JSON: ${said} (line ${before.length}, column ${before.at(-1).length + 1})`;
  }
}
