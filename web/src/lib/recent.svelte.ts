import { type Event } from './api/client';
import { listEvents } from './api/events';
import { stream } from './live/stream.svelte';

const held = 100;

/** Adds an event to a list, newest first; one that is there already, or that is not kept, changes nothing. */
export function prepended(list: Event[], e: Event, most: number): Event[] {
  if (!e.id || list.some((x) => x.id === e.id)) return list;
  return [e, ...list].slice(0, most);
}

/** The id up to which a list of the newest tells what happened: a stream that goes on from before tells it once more. */
export const tells = (list: Event[]): number => list.reduce((most, e) => Math.max(most, Number(e.id)), 0);

/** The newest events, of all or of what a filter names, kept by the stream without asking again. */
export class Recent {
  items = $state.raw<Event[] | null>(null);

  #filter: { instance?: string; stage?: string; project?: string; host?: string };
  #limit: number;

  constructor(limit: number, filter: { instance?: string; stage?: string; project?: string; host?: string } = {}) {
    this.#limit = limit;
    this.#filter = filter;
  }

  use = () => {
    let came: Event[] | undefined; // while it is asked, for the answer may be older
    let told = 0;
    const take = (e: Event) => {
      came?.push(e);
      if (this.items && Number(e.id) > told && this.#wants(e)) this.items = prepended(this.items, e, held);
    };
    const ask = async () => {
      const mine: Event[] = (came = []);
      const { items } = await listEvents({ limit: this.#limit, ...this.#filter }).catch(
        () => ({ items: this.items ?? [] }), // the banner says that the server is away, and it is asked again when the stream is back
      );
      if (came !== mine) return;
      came = undefined;
      told = tells(items);
      this.items = items;
      mine.forEach(take);
    };
    const ends = [stream.onEvent(take), stream.onReturn(() => void ask()), () => (came = undefined)];
    void ask();
    return () => ends.forEach((end) => end());
  };

  #wants(e: Event): boolean {
    const { instance, stage, project, host } = this.#filter;
    return (
      (!instance || e.instance_id === instance) &&
      (!stage || e.stage_id === stage) &&
      (!project || e.project_id === project) &&
      (!host || e.host_id === host)
    );
  }
}
