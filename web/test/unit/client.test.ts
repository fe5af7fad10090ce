import { afterEach, describe, expect, it, vi } from 'vitest';
import { ApiError, getSession, listProjects, ok, onSignedOut } from '$lib/api/client';
import { examine } from '$lib/api/operations';
import { planCleanup } from '$lib/api/plans';
import { retrying } from '$lib/api/retry';

afterEach(() => vi.unstubAllGlobals());

const json = (status: number, body: unknown) =>
  new Response(JSON.stringify(body), {
    status,
    headers: { 'Content-Type': status < 400 ? 'application/json' : 'application/problem+json' },
  });

describe('what the server refuses', () => {
  it('keeps its words, what to do, and the fields that are wrong', async () => {
    const problem = {
      type: 'urn:docker-watcher:problem:invalid',
      title: 'Unprocessable',
      status: 422,
      code: 'invalid',
      detail: 'the request is not right',
      hint: 'mend it',
      errors: [{ location: 'body.name', message: 'it is taken' }],
    };
    vi.stubGlobal(
      'fetch',
      vi.fn(async () => json(422, problem)),
    );
    const err = await listProjects().catch((e: unknown) => e);
    expect(err).toBeInstanceOf(ApiError);
    expect((err as ApiError).code).toBe('invalid');
    expect((err as ApiError).words).toBe('the request is not right. name: it is taken. mend it');
  });

  it('says that nobody answers, and is no error of the server then', async () => {
    const err = (await ok(Promise.reject(new TypeError('failed to fetch'))).catch((e: unknown) => e)) as ApiError;
    expect(err.status).toBe(0);
    expect(err.words).toMatch(/does not answer/);
  });

  it('tells when the session has ended, and not for other refusals', async () => {
    const told = vi.fn();
    onSignedOut(told);
    vi.stubGlobal(
      'fetch',
      vi.fn(async () => json(403, { status: 403, detail: 'no' })),
    );
    await getSession().catch(() => {});
    expect(told).not.toHaveBeenCalled();
    vi.stubGlobal(
      'fetch',
      vi.fn(async () => json(401, { status: 401, detail: 'who are you' })),
    );
    await getSession().catch(() => {});
    expect(told).toHaveBeenCalledOnce();
  });

  it('bears an answer that is not a problem', async () => {
    vi.stubGlobal(
      'fetch',
      vi.fn(async () => new Response('<html>bad gateway</html>', { status: 502 })),
    );
    const err = (await listProjects().catch((e: unknown) => e)) as ApiError;
    expect(err.words).toBe('The server answered with status 502');
  });
});

describe('a plan', () => {
  it('of one is asked for by its own door, which needs less power', async () => {
    const sent = vi.fn(async (_: Request) => json(200, { id: 'p' }));
    vi.stubGlobal('fetch', sent);
    await planCleanup(['a']);
    await planCleanup(['a', 'b']);
    const requests = sent.mock.calls.map(([r]) => r);
    expect(requests.map((r) => new URL(r.url).pathname)).toEqual(['/api/containers/stale/a/cleanup', '/api/containers/stale/cleanup']);
    expect(await Promise.all(requests.map((r) => r.json()))).toEqual([{ dry_run: true }, { dry_run: true, ids: ['a', 'b'] }]);
  });
});

describe('a lost network', () => {
  const lost = () => Promise.reject(new TypeError('network'));
  const pause = () => Promise.resolve();

  it('is tried again for a question', async () => {
    const send = vi.fn().mockImplementationOnce(lost).mockImplementationOnce(lost).mockResolvedValue(new Response('here'));
    const answer = await retrying(send, 3, pause)('http://x/api/events');
    expect(await answer.text()).toBe('here');
    expect(send).toHaveBeenCalledTimes(3);
  });

  it('is never tried again for what changes something', async () => {
    const send = vi.fn(lost);
    await expect(retrying(send, 3, pause)('http://x/api/containers/stale/cleanup', { method: 'POST', body: '{}' })).rejects.toThrow(
      'network',
    );
    expect(send).toHaveBeenCalledOnce();
  });

  it('ends after so many tries', async () => {
    const send = vi.fn(lost);
    await expect(retrying(send, 3, pause)('http://x/')).rejects.toThrow('network');
    expect(send).toHaveBeenCalledTimes(3);
  });

  it('is given up where nobody begins to answer, once, and never for what changes something', async () => {
    vi.useFakeTimers();
    const ends: string[] = [];
    const hangs = vi.fn(
      (r: RequestInfo | URL) =>
        new Promise<Response>((_, no) => (r as Request).signal.addEventListener('abort', () => no((r as Request).signal.reason))),
    );
    void retrying(hangs, 3, pause)('http://x/').catch((err: Error) => ends.push(err.name));
    void retrying(hangs, 3, pause)('http://x/', { method: 'POST', body: '{}' }).catch((err: Error) => ends.push(err.name));
    await vi.advanceTimersByTimeAsync(10 * 60_000);
    expect(ends).toEqual(['TimeoutError']);
    expect(hangs).toHaveBeenCalledTimes(2);
    vi.useRealTimers();
  });

  it('is not taken for one while the doctor reads a large database, whom a second question would find busy', async () => {
    vi.useFakeTimers();
    const ends: unknown[] = [];
    const asked = vi.fn(
      (r: Request) =>
        new Promise<Response>((_, no) => {
          r.signal.addEventListener('abort', () => no(r.signal.reason));
          setTimeout(() => no(new TypeError('network')), 20 * 60_000);
        }),
    );
    vi.stubGlobal('fetch', asked);
    void examine().catch((err) => ends.push(err));
    await vi.advanceTimersByTimeAsync(19 * 60_000);
    expect(ends).toEqual([]);
    await vi.advanceTimersByTimeAsync(2 * 60_000);
    expect([ends.length, asked.mock.calls.length]).toEqual([1, 1]);
    vi.useRealTimers();
  });

  it('may take its time once it answers', async () => {
    vi.useFakeTimers();
    let signal: AbortSignal | undefined;
    await retrying(async (r) => ((signal = (r as Request).signal), new Response('here')), 3, pause)('http://x/');
    await vi.advanceTimersByTimeAsync(10 * 60_000);
    expect(signal!.aborted).toBe(false);
    vi.useRealTimers();
  });

  it('does not take a refusal for a loss', async () => {
    const send = vi.fn(async () => new Response('', { status: 503 }));
    expect((await retrying(send, 3, pause)('http://x/')).status).toBe(503);
    expect(send).toHaveBeenCalledOnce();
  });
});
