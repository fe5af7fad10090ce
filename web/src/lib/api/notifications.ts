import { api, byId, ok, type Query } from './client';
import type { components } from './schema';

type S = components['schemas'];
export type Channel = S['Channel'];
export type ChannelTest = S['ChannelTest'];
export type NotifyRule = S['NotifyRule'];
export type RuleFields = S['RuleFields'];
export type Message = S['Message'];
export type Preview = S['Preview'];

const base = '/api/notifications';
const change = (id: string, revision: number) => ({ params: { path: { id }, header: { 'If-Match': `"${revision}"` } } });

// Channels, rules and the outbox.
export const listKinds = () => ok(api.GET(`${base}/kinds`));
export const listChannels = () => ok(api.GET(`${base}/channels`));
export const createChannel = (body: S['CreateChannelRequest']) => ok(api.POST(`${base}/channels`, { body }));
export const updateChannel = (id: string, revision: number, body: S['UpdateChannelRequest']) =>
  ok(api.PATCH(`${base}/channels/{id}`, { ...change(id, revision), body }));
export const deleteChannel = (id: string) => ok(api.DELETE(`${base}/channels/{id}`, byId(id)));
export const testChannel = (id: string) => ok(api.POST(`${base}/channels/{id}/test`, byId(id)));
export const tryChannel = (body: S['TryChannelRequest']) => ok(api.POST(`${base}/channels/test`, { body }));
export const previewMessage = (body: S['PreviewRequest']) => ok(api.POST(`${base}/preview`, { body }));
export const listRules = () => ok(api.GET(`${base}/rules`));
export const createRule = (body: RuleFields) => ok(api.POST(`${base}/rules`, { body }));
export const updateRule = (id: string, revision: number, body: RuleFields) =>
  ok(api.PATCH(`${base}/rules/{id}`, { ...change(id, revision), body }));
export const deleteRule = (id: string) => ok(api.DELETE(`${base}/rules/{id}`, byId(id)));
export const listOutbox = (query: Query<'/api/notifications/outbox'>, signal?: AbortSignal) =>
  ok(api.GET(`${base}/outbox`, { params: { query }, signal }));
export const getMessage = (id: string) => ok(api.GET(`${base}/outbox/{id}`, byId(id)));
export const retryMessage = (id: string) => ok(api.POST(`${base}/outbox/{id}/retry`, byId(id)));
export const retryAll = () => ok(api.POST(`${base}/outbox/retry`, { body: {} }));
export const deleteMessage = (id: string) => ok(api.DELETE(`${base}/outbox/{id}`, byId(id)));
