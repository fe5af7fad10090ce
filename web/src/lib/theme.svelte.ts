import { stored, store } from './storage';

export type Theme = 'light' | 'dark' | 'system';

const system = matchMedia('(prefers-color-scheme: dark)');
const known = (v: string | null): Theme => (v === 'light' || v === 'dark' ? v : 'system');

let wish = $state<Theme>(known(stored('dw.theme')));

function apply() {
  document.documentElement.dataset.theme = wish === 'dark' || (wish === 'system' && system.matches) ? 'dark' : 'light';
}
system.addEventListener('change', apply);

export const theme = {
  get value() {
    return wish;
  },
  set(v: Theme) {
    wish = v;
    store('dw.theme', v);
    apply();
  },
  flip() {
    this.set(document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark');
  },
};
