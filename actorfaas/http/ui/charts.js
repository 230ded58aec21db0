// Small pictures beside numbers. The numbers are there in words, too, so the pictures are hidden from readers of the page.

import { h, say } from './dom.js';

const SVG = 'http://www.w3.org/2000/svg';

export function svg(tag, attributes = {}) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** The last values as a line. */
export function sparkline(width = 120, height = 24) {
  const line = svg('polyline', { class: 'line' });
  const element = svg('svg', { class: 'spark', viewBox: `0 0 ${width} ${height}`, 'aria-hidden': 'true', preserveAspectRatio: 'none' });
  element.append(line);
  return {
    element,
    draw(values) {
      const top = Math.max(...values, 1e-9);
      const step = width / Math.max(values.length - 1, 1);
      line.setAttribute('points', values.map((value, index) => `${(index * step).toFixed(1)},${(height - 2 - (value / top) * (height - 4)).toFixed(1)}`).join(' '));
    },
  };
}

/** Shares of start kinds as a bar, and the most frequent ones in words. */
export function startKinds() {
  const bar = h('span', { class: 'bar', hidden: true, 'aria-hidden': 'true' });
  const words = h('span', {});
  const element = h('span', { class: 'kinds' }, bar, words);
  let before = '';
  return {
    element,
    draw(kinds) {
      const total = kinds.reduce((sum, [, count]) => sum + count, 0);
      const text = kinds.slice(0, 3).map(([kind, count]) => `${Math.round((100 * count) / total)} % ${kind}`).join(', ');
      if (text === before) return;
      before = text;
      bar.hidden = !total;
      say(words, text);
      bar.replaceChildren(...kinds.map(([kind, count]) => {
        const share = h('i', { class: `kind-${kind}` });
        share.style.flexGrow = count;
        return share;
      }));
    },
  };
}
