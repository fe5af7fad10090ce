/** Asks again when the network failed under a question; what changes something is never sent twice. */
export function retrying(send: typeof fetch, tries = 3, pause: (ms: number) => Promise<void> = wait): typeof fetch {
  return async (input, init) => {
    const request = new Request(input, init);
    const again = request.method === 'GET' || request.method === 'HEAD';
    for (let n = 1; ; n++) {
      try {
        return await send(request.clone());
      } catch (err) {
        const lost = err instanceof TypeError; // what fetch throws when there was no answer at all
        if (!again || !lost || n >= tries || request.signal.aborted) throw err;
        await pause(300 * 2 ** (n - 1));
      }
    }
  };
}

const wait = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));
