import { api, byId, ok } from './client';
import type { components } from './schema';

type S = components['schemas'];
export type Certificate = S['Certificate'];
export type Authority = S['AuthorityNow'];

// Certificates by which routes are served over TLS.
export const listCertificates = async (signal?: AbortSignal) => (await ok(api.GET('/api/certificates', { signal }))).items;
export const uploadCertificate = (name: string, body: S['UploadRequest']) =>
  ok(api.PUT('/api/certificates/own/{name}', { params: { path: { name } }, body }));
export const deleteCertificate = (id: string) => ok(api.DELETE('/api/certificates/{id}', byId(id)));
export const renewCertificate = (id: string) => ok(api.POST('/api/certificates/{id}/renew', byId(id)));
export const getAuthority = () => ok(api.GET('/api/certificate-authorities/acme', {}));
export const putAuthority = (body: S['AuthorityRequest']) => ok(api.PUT('/api/certificate-authorities/acme', { body }));
export const ownRoot = '/api/certificates/ca.pem';
