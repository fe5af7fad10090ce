const within = 150_000; // longer than the server gives an engine to answer

/** Asks again when the network failed under a question; what changes something is never sent twice. */
export function retrying(send: typeof fetch, tries = 3, pause: (ms: number) => Promise<void> = wait): typeof fetch {
  return async (input, init) => {
    const request = new Request(input, init);
    const again = request.method === 'GET' || request.method === 'HEAD';
    for (let n = 1; ; n++) {
      try {
        return await (again ? answered(send, request) : send(request.clone()));
      } catch (err) {
        const lost = err instanceof TypeError; // what fetch throws when there was no answer at all
        if (!again || !lost || n >= tries || request.signal.aborted) throw err;
        await pause(300 * 2 ** (n - 1));
      }
    }
  };
}

/**
 * Gives a question up that nobody begins to answer, as when its connection broke unseen: it would hang for ever, and a browser has six
 * connections to a server. How long the answer then takes is not bounded: it may be a stream.
 */
async function answered(send: typeof fetch, request: Request): Promise<Response> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new DOMException('no answer', 'TimeoutError')), within);
  try {
    return await send(new Request(request, { signal: AbortSignal.any([request.signal, late.signal]) }));
  } finally {
    clearTimeout(timer);
  }
}

const wait = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));
