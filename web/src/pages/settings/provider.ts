import type { Provider } from '$lib/api/provider';

type Rule = NonNullable<Provider['rules']>[number];

/** What is typed about the identity provider, lists with commas. Its secret is never known here. */
export type ProviderForm = ReturnType<typeof formOf>;

/** What the form begins with where none is set up. */
export const fresh = (externalUrl: string): Provider => ({ enabled: true, issuer: '', client_id: '', external_url: externalUrl });

export const formOf = (p: Provider) => ({
  enabled: p.enabled,
  label: p.label ?? '',
  issuer: p.issuer,
  client_id: p.client_id,
  client_secret: '',
  client_secret_file: p.client_secret_file ?? '',
  external_url: p.external_url,
  scopes: (p.scopes ?? []).join(', '),
  name_claim: p.name_claim ?? '',
  groups_claim: p.groups_claim ?? '',
  allowed_groups: (p.allowed_groups ?? []).join(', '),
  allowed_domains: (p.allowed_domains ?? []).join(', '),
  auto_create: p.auto_create ?? false,
  rules: (p.rules ?? []).map((r) => ({ group: r.group, role: r.role as string, project_id: r.project_id ?? '' })),
});

const listed = (text: string) =>
  text
    .split(',')
    .map((t) => t.trim())
    .filter(Boolean);

/** All of it, as it is sent: what is left out is taken away, but for the secret. */
export const providerOf = (f: ProviderForm): Provider => ({
  ...f,
  client_secret: f.client_secret || undefined,
  scopes: listed(f.scopes),
  allowed_groups: listed(f.allowed_groups),
  allowed_domains: listed(f.allowed_domains),
  rules: f.rules.map((r) => ({ group: r.group, role: r.role as Rule['role'], project_id: r.project_id || undefined })),
});
