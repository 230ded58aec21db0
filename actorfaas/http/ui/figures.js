// Rates and latencies of the last seconds, from figures that only grow.

import { Rows } from './api.js';

const WINDOW_MS = 10_000;
const HISTORY = 90;

export class Figures {
  constructor() {
    this.calls = new Rows();
    this.tasks = new Rows();
    this.topics = new Rows();
    this.functions = new Rows();
    this.samples = [];
    this.history = [];
    this.head = null;
  }

  take(document) {
    for (const name of ['calls', 'tasks', 'topics', 'functions']) this[name].update(document.whole, document[name]);
    if (document.whole) this.samples = [];
    this.head = document;
    const sums = new Map();
    for (const row of [...this.calls.all.values(), ...this.tasks.all.values()]) add(sums, row);
    this.samples.push({ at: document.at_ms, sums });
    while (this.samples.length > 2 && document.at_ms - this.samples[1].at >= WINDOW_MS) this.samples.shift();
    const node = this.node();
    this.history.push(node.rate);
    if (this.history.length > HISTORY) this.history.shift();
  }

  /** What one function or workflow did lately, and since the node's start. */
  of(name) {
    const first = this.samples[0], last = this.samples.at(-1);
    return this.between(first?.sums.get(name), last?.sums.get(name));
  }

  node() {
    const together = (sample) => {
      const all = new Map();
      for (const one of sample?.sums.values() ?? []) merge(all, 'all', one);
      return all.get('all');
    };
    return this.between(together(this.samples[0]), together(this.samples.at(-1)));
  }

  between(before = empty(), now = empty()) {
    const seconds = (this.samples.at(-1)?.at - this.samples[0]?.at) / 1000 || 0;
    const lately = now.calls - before.calls;
    const buckets = now.buckets.map((count, index) => count - (before.buckets[index] ?? 0));
    const shown = lately > 0 ? buckets : now.buckets;
    return {
      rate: seconds ? lately / seconds : 0,
      errors: seconds ? (now.failed - before.failed) / seconds : 0,
      p50: this.percentile(shown, 0.5),
      p99: this.percentile(shown, 0.99),
      calls: now.calls,
      failed: now.failed,
      kinds: [...now.kinds].filter(([, count]) => count > 0).sort((a, b) => b[1] - a[1]),
    };
  }

  percentile(buckets, share) {
    const bounds = this.head?.bounds_ms ?? [];
    const total = buckets.reduce((sum, count) => sum + count, 0);
    if (!total) return null;
    let below = 0;
    for (let index = 0; index < buckets.length; index += 1) {
      if (below + buckets[index] >= share * total) {
        const low = index ? bounds[index - 1] : 0;
        const high = bounds[index] ?? bounds.at(-1);
        return low + (high - low) * ((share * total - below) / buckets[index]);
      }
      below += buckets[index];
    }
    return bounds.at(-1);
  }
}

function empty() {
  return { calls: 0, failed: 0, buckets: [], kinds: new Map() };
}

function add(sums, row) {
  merge(sums, row.name, { ...row, kinds: new Map([[row.start_kind, row.calls]]) });
}

function merge(sums, name, one) {
  const sum = sums.get(name) ?? empty();
  sum.calls += one.calls;
  sum.failed += one.failed;
  one.buckets.forEach((count, index) => { sum.buckets[index] = (sum.buckets[index] ?? 0) + count; });
  for (const [kind, count] of one.kinds) if (kind) sum.kinds.set(kind, (sum.kinds.get(kind) ?? 0) + count);
  sums.set(name, sum);
}
