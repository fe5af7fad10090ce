export type Line = { at: string; text: string; n: number };

const stamp = /^(\d{4}-\d\d-\d\dT[\d:.]+Z) ?/;

/** Cuts a stream of text into lines; what is not yet a whole line waits for its end. */
export class Cutter {
  #rest = '';
  #n = 0;

  take(piece: string): Line[] {
    const parts = (this.#rest + piece).split('\n');
    this.#rest = parts.pop()!;
    return parts.map((p) => this.#line(p));
  }

  end(): Line[] {
    const rest = this.#rest;
    this.#rest = '';
    return rest ? [this.#line(rest)] : [];
  }

  #line(raw: string): Line {
    const m = stamp.exec(raw);
    return { at: m?.[1] ?? '', text: plain(m ? raw.slice(m[0].length) : raw), n: ++this.#n };
  }
}

// eslint-disable-next-line no-control-regex
const escapes = /\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07]*\x07|[\x00-\x08\x0b-\x1f\x7f]/g;

/** Without the colours and moves that were meant for a terminal. */
export const plain = (text: string) => text.replace(escapes, '');

/** The newest lines that fit, whether they match or not. */
export const kept = (lines: Line[], most: number) => (lines.length > most ? lines.slice(-most) : lines);

export function matching(lines: Line[], query: string): Line[] {
  const q = query.toLowerCase();
  return q ? lines.filter((l) => l.text.toLowerCase().includes(q)) : lines;
}
