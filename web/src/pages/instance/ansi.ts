/** A stretch of a text in one style, from a sign to before another. */
export type Span = { from: number; to: number; style: string };

const hues = ['text-fg-3', 'text-bad-text', 'text-ok-text', 'text-warn-text', 'text-info-text', 'text-log-magenta', 'text-log-cyan', ''];

// eslint-disable-next-line no-control-regex
const sequence = /\x1b\[([0-9;:]*)m|\x1b\[[0-9;:?<=>]*[ -/]*[@-~]|\x1b[\]P_^X][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?/g;
// eslint-disable-next-line no-control-regex
const controls = /[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** What a program wrote for a terminal, as text and as the styles that it asked for; all else that would steer is gone. */
export function styled(raw: string): { text: string; spans: Span[] } {
  // Of a line that was drawn anew again and again, what a terminal would show: the last of it.
  const drawn = raw.slice(raw.replace(/\r+$/, '').lastIndexOf('\r') + 1);
  if (!drawn.includes('\x1b')) return { text: expand(drawn.replace(controls, '')), spans: [] };
  let text = '';
  const spans: Span[] = [];
  const now: Style = { hue: '', bold: false, faint: false, under: false };
  let end = 0;
  const add = (part: string) => {
    const clean = expand(part.replace(controls, ''), text.length);
    const style = styleOf(now);
    if (clean && style) spans.push({ from: text.length, to: text.length + clean.length, style });
    text += clean;
  };
  for (const m of drawn.matchAll(sequence)) {
    add(drawn.slice(end, m.index));
    end = m.index + m[0].length;
    if (m[1] !== undefined) apply(now, m[1]);
  }
  add(drawn.slice(end));
  return { text, spans };
}

const expand = (text: string, at = 0) =>
  text.includes('\t') ? text.replace(/\t/g, (_, i: number) => ' '.repeat(8 - ((at + i) % 8))) : text;

type Style = { hue: string; bold: boolean; faint: boolean; under: boolean };

const styleOf = (s: Style) =>
  [s.faint ? 'text-fg-3' : s.hue, s.bold && 'font-semibold', s.under && 'underline underline-offset-2'].filter(Boolean).join(' ');

function apply(s: Style, params: string) {
  const codes = params === '' ? [0] : params.split(/[;:]/).map(Number);
  for (let i = 0; i < codes.length; i++) {
    const c = codes[i]!;
    if (c === 0) Object.assign(s, { hue: '', bold: false, faint: false, under: false });
    else if (c === 1) s.bold = true;
    else if (c === 2) s.faint = true;
    else if (c === 4) s.under = true;
    else if (c === 22) s.bold = s.faint = false;
    else if (c === 24) s.under = false;
    else if (c === 39) s.hue = '';
    else if (c >= 30 && c <= 37) s.hue = hues[c - 30]!;
    else if (c >= 90 && c <= 97) s.hue = hues[c - 90]!;
    else if (c === 38 || c === 48) {
      const wide = codes[i + 1] === 2;
      const hue = wide ? nearest(codes[i + 2] ?? 0, codes[i + 3] ?? 0, codes[i + 4] ?? 0) : indexed(codes[i + 2] ?? 0);
      if (c === 38) s.hue = hue;
      i += wide ? 4 : 2;
    }
  }
}

function indexed(n: number): string {
  if (n < 16) return hues[n % 8]!;
  if (n >= 232) return n < 244 ? 'text-fg-3' : '';
  const level = (k: number) => Math.floor((n - 16) / k) % 6;
  return nearest(level(36) * 51, level(6) * 51, level(1) * 51);
}

/** One of our colours, which can be read in both themes, for any colour. */
function nearest(r: number, g: number, b: number): string {
  const [most, least] = [Math.max(r, g, b), Math.min(r, g, b)];
  if (most - least < 48) return most > 0 && most < 140 ? 'text-fg-3' : '';
  const half = least + (most - least) / 2;
  return hues[(r > half ? 1 : 0) + (g > half ? 2 : 0) + (b > half ? 4 : 0)]!;
}
