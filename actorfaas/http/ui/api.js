// The node's API: requests with its token, problems as errors, and events that come again by themselves.

const KEY = 'actorfaas-token';

export const token = {
  get: () => sessionStorage.getItem(KEY) ?? '',
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

/** What the node answered instead: an RFC 9457 problem, or that it could not be reached (status 0). */
export class Problem extends Error {
  constructor(status, document) {
    super(document.detail || document.title || `the node answered ${status}`);
    this.status = status;
    this.document = document;
  }
}

async function ask(path, { method = 'GET', headers = {}, body, signal } = {}) {
  const given = token.get();
  const own = given ? { ...headers, authorization: `Bearer ${given}` } : headers;
  let response;
  try {
    response = await fetch(path, { method, headers: own, body, signal, cache: 'no-store', credentials: 'omit' });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Problem(0, { detail: 'the node cannot be reached' });
  }
  if (response.ok) return response;
  const document = await response.json().catch(() => ({}));
  const problem = new Problem(response.status, document);
  // An answer to a request from before a login says nothing about the token that is kept now.
  if (response.status === 401 && token.get() === given) window.dispatchEvent(new CustomEvent('unauthorized'));
  throw problem;
}

export async function get(path, query = {}, signal = undefined) {
  const given = Object.entries(query).filter(([, value]) => value !== '' && value !== undefined);
  const answer = await ask(given.length ? `${path}?${new URLSearchParams(given)}` : path, { signal });
  return (answer.headers.get('content-type') ?? '').startsWith('application/json') ? answer.json() : answer.text();
}

export async function post(path, { headers = {}, body } = {}) {
  const answer = await ask(path, { method: 'POST', headers, body });
  return answer.status === 204 ? null : answer.json();
}

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8000;

/**
 * Follow `/v1/events` until the returned function is called. `heard` gets (event, document), `state` "live" or what is
 * wrong. Read by `fetch`, because an EventSource cannot send the token.
 */
export function watch(query, heard, state) {
  const control = new AbortController();
  follow(query, heard, state, control.signal);
  return () => control.abort();
}

async function follow(query, heard, state, signal) {
  let pause = FIRST_PAUSE_MS;
  while (!signal.aborted) {
    try {
      const answer = await ask(`/v1/events?${new URLSearchParams(query)}`, { signal });
      state('live');
      await read(answer.body, (event, document) => { pause = FIRST_PAUSE_MS; heard(event, document); }, signal);
      if (!signal.aborted) state('The connection to the node was lost; connecting again…');
    } catch (error) {
      if (signal.aborted) return;
      state(error instanceof Problem ? `Not live: ${error.message}; trying again…` : 'The connection to the node was lost; connecting again…');
      if (error instanceof Problem && (error.status === 401 || error.status === 400)) return;
      if (!(error instanceof Problem) && !(error instanceof TypeError)) throw error;
    }
    await new Promise((resolve) => { setTimeout(resolve, pause); });
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  }
}

/** Server-sent events as the node writes them: one `event:` and one `data:` line, an empty line after each. */
async function read(body, heard, signal) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  while (!signal.aborted) {
    const { done, value } = await reader.read();
    if (done) return;
    const frames = (rest + value).split('\n\n');
    rest = frames.pop();
    for (const frame of frames) {
      const lines = frame.split('\n');
      const event = lines.find((line) => line.startsWith('event: '));
      const data = lines.find((line) => line.startsWith('data: '));
      if (event && data && !signal.aborted) heard(event.slice(7), JSON.parse(data.slice(6)));
    }
  }
}

/** Rows as the node tells them: all of them first, then what changed. */
export class Rows {
  constructor() { this.all = new Map(); }

  update(isWhole, { changed, gone }) {
    if (isWhole) this.all.clear();
    for (const key of gone) this.all.delete(key);
    for (const [key, row] of Object.entries(changed)) this.all.set(key, row);
    return this.all;
  }
}
