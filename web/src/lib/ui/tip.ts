/** One tooltip element for the whole app, in the top layer; shows on hover (350 ms) and on keyboard focus, hides on Esc (WCAG 1.4.13). */
let el: HTMLDivElement | null = null,
  timer: ReturnType<typeof setTimeout>,
  owner: HTMLElement | null = null;
function node() {
  if (el) return el;
  el = document.createElement('div');
  el.id = 'dw-tip';
  el.setAttribute('role', 'tooltip');
  el.setAttribute('popover', 'manual');
  el.className =
    'fixed m-0 px-2 py-1 rounded-sm border-0 bg-[#1c1e24] text-[#f2f3f5] text-xs shadow-2 max-w-72 pointer-events-none whitespace-pre-line';
  document.body.append(el);
  addEventListener('keydown', (e) => e.key === 'Escape' && hide());
  addEventListener('scroll', hide, true);
  return el;
}
function hide() {
  clearTimeout(timer);
  if (el?.matches(':popover-open')) el.hidePopover();
  owner?.removeAttribute('aria-describedby');
  owner = null;
}
function show(t: HTMLElement, text: string) {
  const n = node();
  n.textContent = text;
  n.showPopover();
  owner = t;
  t.setAttribute('aria-describedby', 'dw-tip');
  const r = t.getBoundingClientRect(),
    b = n.getBoundingClientRect();
  const top = r.top - b.height - 6;
  n.style.inset = 'auto';
  n.style.top = `${top > 4 ? top : r.bottom + 6}px`;
  n.style.left = `${Math.max(6, Math.min(innerWidth - b.width - 6, r.left + r.width / 2 - b.width / 2))}px`;
}
export function tip(n: HTMLElement, text: string | undefined) {
  let t = text;
  const enter = () => {
    clearTimeout(timer);
    if (t) timer = setTimeout(() => t && show(n, t), 350);
  };
  const focus = () => {
    if (t && n.matches(':focus-visible')) show(n, t);
  };
  n.addEventListener('pointerenter', enter);
  n.addEventListener('pointerleave', hide);
  n.addEventListener('focus', focus);
  n.addEventListener('blur', hide);
  n.addEventListener('pointerdown', hide);
  return {
    update(v: string | undefined) {
      t = v;
    },
    destroy() {
      if (owner === n) hide();
      n.removeEventListener('pointerenter', enter);
      n.removeEventListener('pointerleave', hide);
      n.removeEventListener('focus', focus);
      n.removeEventListener('blur', hide);
    },
  };
}
