// One execution: its picture, its states in time, what went in and came out, its logs. Live while it runs.

import { get, post, Rows } from './api.js';
import { badge, duration, facts, h, json, link, moment, number, part, replace, say } from './dom.js';
import { picture } from './diagram.js';
import { logLines } from './logs.js';
import { waterfall } from './waterfall.js';

const REDRAW_MS = 700;
const SHORT = 4000;

export function execution(root, [id], _query, page) {
  const control = new AbortController();
  const states = new Rows();
  const parts = skeleton(id);
  const times = waterfall((visit) => output(id, visit, control.signal));
  const lines = logLines({ execution: id });
  const buttons = actions(id, parts.told, () => follow());
  const drawing = diagram(id, parts.diagram, control.signal);
  let shown = null;
  let stop = () => {};
  page.title(`Execution ${id}`);
  parts.states.append(times.element);
  parts.logs.append(lines.element);
  replace(root, parts.all);
  parts.facts.after(buttons.element, parts.told);

  get(`/v1/executions/${part(id)}/input`, {}, control.signal).then((input) => {
    const text = JSON.stringify(input);
    replace(parts.input, json(input));
    buttons.input(text.length <= SHORT ? text : '');
  }).catch((error) => (error.status === 404 ? say(parts.input, 'It is not kept.') : page.failed(error)));

  function draw(document) {
    shown = document;
    const all = states.update(document.whole, document.states);
    header(parts, document);
    buttons.draw(document);
    times.draw(document, [...all.values()]);
    drawing.draw(document, all);
    results(parts, document);
  }

  function follow() {
    stop();
    stop = page.watch({ watch: 'execution,logs', execution: id }, (event, document) => (event === 'logs' ? lines.take(document) : draw(document)));
  }

  follow();
  const ticking = setInterval(() => { if (shown?.status === 'running') times.tick(); }, 500);
  return () => { stop(); clearInterval(ticking); control.abort(); drawing.close(); };
}

function skeleton(id) {
  const section = (key, title, ...inside) => h('section', { 'aria-labelledby': key }, h('h2', { id: key }, title), inside);
  const parts = {
    title: h('h1', {}, 'Execution ', h('span', { class: 'id' }, id)),
    told: h('p', { class: 'wrong', role: 'alert' }),
    status: h('div', { role: 'status' }),
    facts: h('div'),
    diagram: h('div', { class: 'picture', role: 'region', 'aria-label': 'Diagram', tabindex: '0' }),
    input: h('div', {}, '…'),
    output: h('div'),
    error: h('div'),
  };
  parts.diagramSection = section('diagram', 'Diagram', parts.diagram);
  parts.diagramSection.hidden = true;
  parts.states = section('states', 'States in time');
  parts.outputSection = section('output', 'Output', parts.output);
  parts.errorSection = section('error', 'Error', parts.error);
  parts.logs = section('logs', 'Logs');
  parts.all = [parts.title, parts.status, parts.facts, parts.errorSection, parts.diagramSection, parts.states,
    h('div', { class: 'beside' }, section('input', 'Input', parts.input), parts.outputSection), parts.logs];
  return parts;
}

function header(parts, document) {
  if (parts.status.dataset.status !== document.status) {
    parts.status.dataset.status = document.status;
    replace(parts.status, badge(document.status));
  }
  const kind = document.kind === 'workflow' ? 'workflows' : 'functions';
  replace(parts.facts, facts([
    [document.kind, h('span', {}, link(`#/${kind}/${part(document.name)}`, document.name), ` version ${document.version} of ${document.app}`)],
    ...(document.execution_name ? [['given name', document.execution_name]] : []),
    ['durability', document.durability],
    ['started', moment(document.started_at_ms)],
    ['took', document.duration_ms === null ? 'is running' : duration(document.duration_ms)],
    ['billed', `${number(document.billed_ms)} ms, ${document.billed_gb_s} GB-s`],
    ...(document.redrive_count ? [['redriven', h('span', {}, `${number(document.redrive_count)} times, last at `, moment(document.redriven_at_ms))]] : []),
  ]));
}

function results(parts, document) {
  parts.errorSection.hidden = !document.error;
  if (document.error) replace(parts.error, h('p', { class: 'notice wrong' }, h('strong', {}, document.error.error_type || 'Error'), `: ${document.error.error_message}`));
  const waits = document.status === 'running' ? 'It is running.' : 'There is none.';
  replace(parts.output, document.status === 'succeeded' ? json(document.output) : h('p', { class: 'hint' }, waits));
}

/** `changed` is called when the node has accepted that something happens to the execution. */
function actions(id, told, changed) {
  async function act(button, path) {
    button.disabled = true;
    say(told, '');
    try {
      await post(`/v1/executions/${part(id)}/${path}`);
      changed();
    } catch (problem) {
      say(told, problem.message);
    } finally {
      button.disabled = false;
    }
  }
  const cancel = h('button', { type: 'button', hidden: true, onclick: () => act(cancel, 'cancel') }, 'Stop');
  const redrive = h('button', { type: 'button', hidden: true, onclick: () => act(redrive, 'redrive') }, 'Redrive from what failed');
  const again = h('a', { class: 'button', hidden: true }, 'Start again with this input');
  let input = '';
  let target = '';
  const offer = () => {
    again.hidden = !input || !target;
    again.href = `#/${target}?input=${part(input)}`;
  };
  return {
    element: h('p', { class: 'actions' }, cancel, redrive, again),
    input(text) { input = text; offer(); },
    draw(document) {
      target = `${document.kind === 'workflow' ? 'workflows' : 'functions'}/${part(document.name)}`;
      cancel.hidden = document.status !== 'running';
      redrive.hidden = document.redrive_status !== 'redrivable';
      offer();
    },
  };
}

/** Drawn anew by the node when the states' statuses are others, but not all the time. */
function diagram(id, place, signal) {
  let drawn = '';
  let wanted = '';
  let timer = null;
  let isLoading = false;
  let isGone = false;

  async function load() {
    timer = null;
    isLoading = true;
    const now = wanted;
    try {
      const element = picture(await get(`/v1/executions/${part(id)}/diagram`, {}, signal));
      const { scrollLeft, scrollTop } = place;
      replace(place, element);
      place.scrollTo(scrollLeft, scrollTop);
      place.parentElement.hidden = false;
      drawn = now;
    } catch (error) {
      if (error.name === 'AbortError') return;
      replace(place, h('p', { class: 'hint' }, error.message));
      isGone = error.status === 404; // its version is not known any more
      if (!error.document?.retryable) drawn = now;
    } finally {
      isLoading = false;
    }
    plan(REDRAW_MS);
  }

  function plan(wait) {
    if (wanted !== drawn && !timer && !isLoading && !isGone) timer = setTimeout(load, wait);
  }

  return {
    draw(document, states) {
      if (document.kind !== 'workflow') return;
      wanted = JSON.stringify([document.status, ...[...states.values()].map((one) => [one.name, one.status])]);
      plan(drawn ? REDRAW_MS : 0);
    },
    close() { clearTimeout(timer); },
  };
}

/** What a visit to a state returned: the page of the history that begins with it has it. */
async function output(id, visit, signal) {
  const page = await get(`/v1/executions/${part(id)}`, { cursor: visit.seq - 1, limit: 1 }, signal);
  return page.states[0]?.output ?? null;
}
