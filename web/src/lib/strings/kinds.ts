/** Kinds of stages. */
export const kinds: Record<string, string> = { dev: 'Development', staging: 'Staging', production: 'Production', preview: 'Preview' };
