import { api, ok, type SettingsChange } from './client';

// Settings.
export const getSettings = () => ok(api.GET('/api/settings'));
export const updateSettings = (body: SettingsChange) => ok(api.PATCH('/api/settings', { body }));
