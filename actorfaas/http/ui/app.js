// Which view is open. Views are functions `(root, name, query, page) => close`: they fill `root`, and clean up at the end.

import { Problem, token, watch } from './api.js';
import { h, replace, say } from './dom.js';
import { login } from './login.js';
import { execution } from './execution.js';
import { executions } from './executions.js';
import { flow } from './flow.js';
import { functions } from './functions.js';
import { logs } from './logs.js';
import { target } from './target.js';
import { workers } from './workers.js';

const VIEWS = [
  [/^\/$/, 'Functions', functions],
  [/^\/(functions|workflows)\/(.+)$/, 'Functions', target],
  [/^\/executions$/, 'Executions', executions],
  [/^\/executions\/(.+)$/, 'Executions', execution],
  [/^\/flow$/, 'Flow', flow],
  [/^\/workers$/, 'Workers', workers],
  [/^\/logs$/, 'Logs', logs],
];

const main = document.getElementById('main');
const connection = document.getElementById('connection');
let close = () => {};
let shown = '';

/** What a view may do to the page around it. */
const page = {
  title(text) { document.title = `${text} · actorfaas`; },
  /** Follow events for as long as the view is open; what goes wrong with it is said beside the navigation. */
  watch(query, heard) {
    return watch(query, (event, document) => {
      if (event !== 'problem') {
        tell('live');
        heard(event, document);
      } else if (document.status === 404) this.failed(new Problem(404, document));
      else tell(`Part of this is not live: ${document.detail}`);
    }, tell);
  },
  go(path) { location.hash = `#${path}`; },
  /** Change the address without opening another view, so that it can be copied and gone back to. */
  note(path) { history.replaceState(null, '', `#${path}`); shown = `#${path}`; },
  failed(error) {
    if (error.name === 'AbortError' || error.status === 401) return;
    if (!(error instanceof Problem)) throw error;
    main.prepend(h('p', { class: 'notice wrong', role: 'alert' }, error.message));
  },
};

function tell(state) {
  connection.dataset.state = state === 'live' ? 'live' : 'lost';
  say(connection, state === 'live' ? 'Live' : state);
}

function open() {
  const hash = location.hash.startsWith('#/') ? location.hash : '#/';
  if (hash === shown) return;
  const isFirst = !shown;
  shown = hash;
  close();
  close = () => {};
  const [path, search] = hash.slice(1).split('?');
  const found = VIEWS.map(([pattern, name, view]) => ({ match: pattern.exec(path), name, view })).find((one) => one.match);
  replace(main);
  mark(found?.name);
  if (found) {
    page.title(found.name);
    close = found.view(main, found.match.slice(1).map(decodeURIComponent), new URLSearchParams(search), page) ?? close;
  } else {
    page.title('Not found');
    replace(main, h('h1', {}, 'Not found'), h('p', {}, 'There is no such view.'));
  }
  window.scrollTo(0, 0);
  if (!isFirst) main.focus({ preventScroll: true });
}

function mark(name) {
  for (const one of document.querySelectorAll('nav a')) {
    if (one.textContent === name) one.setAttribute('aria-current', 'page');
    else one.removeAttribute('aria-current');
  }
}

window.addEventListener('hashchange', open);
window.addEventListener('unauthorized', () => {
  close();
  close = () => {};
  const wasWrong = Boolean(token.get());
  token.forget();
  tell('Not logged in');
  page.title('Log in');
  mark('');
  login(main, wasWrong, () => { shown = ''; open(); main.focus(); });
});
document.getElementById('skip').addEventListener('click', () => main.focus());
open();
