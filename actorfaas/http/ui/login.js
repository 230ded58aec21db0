// The token's form: shown when the node asks for one. It is kept in this tab's session only.

import { token } from './api.js';
import { h, replace } from './dom.js';

export function login(root, wasWrong, done) {
  if (root.querySelector('form.login')) return;
  const field = h('input', { type: 'password', id: 'token', name: 'token', autocomplete: 'current-password', required: true, 'aria-describedby': 'token-hint' });
  const form = h('form', { class: 'login' },
    h('h1', {}, 'Log in'),
    h('p', { id: 'token-hint' }, 'This node asks for its token: the setting api_token. It stays in this tab and is forgotten when you close it.'),
    wasWrong ? h('p', { class: 'notice wrong', role: 'alert' }, 'That was not the node’s token.') : null,
    h('label', { for: 'token' }, 'Token'),
    field,
    h('button', { type: 'submit', class: 'primary' }, 'Log in'));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    token.set(field.value.trim());
    done();
  });
  replace(root, form);
  field.focus();
}
