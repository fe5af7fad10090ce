import { describe, expect, it } from 'vitest';
import { ApiError } from '$lib/api/client';
import { faultsOf } from '$lib/faults';

const refused = (fields: Record<string, string>, hint = '') =>
  new ApiError(
    422,
    'invalid',
    'nothing was done',
    hint,
    Object.entries(fields).map(([location, message]) => ({ location, message })),
  );

describe('the faults of a form', () => {
  it('are said beside their fields, and not once more above them', () =>
    expect(faultsOf(refused({ 'body.name': 'it is taken', 'body.issuer': 'no address' }), 'name', 'issuer')).toEqual({
      of: { name: 'it is taken', issuer: 'no address' },
      rest: '',
    }));
  it('are those of a whole field where only a part of it is wrong', () =>
    expect(faultsOf(refused({ 'body.domains[0]': 'no', 'body.domains[2]': 'nor this' }), 'domains').of).toEqual({
      domains: 'no; nor this',
    }));
  it('are those of the part where the form shows it', () =>
    expect(faultsOf(refused({ 'body.rules[1].group': 'is needed' }), 'rules', 'rules[1].group').of).toEqual({
      'rules[1].group': 'is needed',
    }));
  it('are not lost where the form does not show the field', () =>
    expect(faultsOf(refused({ 'body.name': 'no', 'body.other': 'wrong' }, 'try again'), 'name')).toEqual({
      of: { name: 'no' },
      rest: 'nothing was done. other: wrong. try again',
    }));
  it('are none where no field is to blame', () =>
    expect(faultsOf(new ApiError(500, 'internal', 'it broke', 'look into the log'), 'name')).toEqual({
      of: {},
      rest: 'it broke. look into the log',
    }));
});
