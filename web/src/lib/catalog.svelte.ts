import { listHosts, listProjects, listStages } from './api/client';
import { Resource } from './live/resource.svelte';
import { who } from './session.svelte';

const walk = ['preview', 'dev', 'staging', 'production'];

/** The names behind the ids that events and instances carry; shared by every screen. */
class Catalog {
  projects = new Resource(async () => (await listProjects()).items, { topics: ['projects'] });
  stages = new Resource(async () => (await listStages()).items, { topics: ['stages', 'projects'] });
  hosts = new Resource(async () => (who.wide ? (await listHosts()).items : []), { topics: ['hosts', 'stages'], every: 60_000 });

  #projectNames = $derived(new Map((this.projects.data ?? []).map((p) => [p.id, p.name])));
  #stages = $derived(new Map((this.stages.data ?? []).map((s) => [s.id, s])));
  #hostNames = $derived(new Map((this.hosts.data ?? []).map((h) => [h.id, h.name])));

  use = () => {
    const ends = [this.projects.use(), this.stages.use(), this.hosts.use()];
    return () => ends.forEach((end) => end());
  };

  project = (id?: string) => (id ? this.#projectNames.get(id) : undefined);
  stage = (id?: string) => (id ? this.#stages.get(id)?.name : undefined);
  host = (id?: string) => (id ? this.#hostNames.get(id) : undefined);
  /** The stages of a project, in the order in which a version walks through them. */
  stagesOf = (project: string) =>
    (this.stages.data ?? [])
      .filter((s) => s.project_id === project)
      .toSorted((a, b) => walk.indexOf(a.kind) - walk.indexOf(b.kind) || a.name.localeCompare(b.name));
}

export const catalog = new Catalog();
