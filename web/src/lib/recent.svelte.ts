import { type Event } from './api/client';
import { listEvents } from './api/events';
import { stream } from './live/stream.svelte';

const held = 100;

/** Adds an event to a list, newest first; one that is there already, or that is not kept, changes nothing. */
export function prepended(list: Event[], e: Event, most: number): Event[] {
  if (!e.id || list.some((x) => x.id === e.id)) return list;
  return [e, ...list].slice(0, most);
}

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
    let ended = false;
    const end = stream.onEvent((e) => {
      if (this.items && this.#wants(e)) this.items = prepended(this.items, e, held);
    });
    listEvents({ limit: this.#limit, ...this.#filter }).then(
      ({ items }) => {
        if (!ended) this.items = items;
      },
      () => {
        if (!ended) this.items ??= []; // the banner says that the server is away, and the stream brings what comes
      },
    );
    return () => {
      ended = true;
      end();
    };
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
