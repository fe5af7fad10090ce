/** What the browser remembers of a person's taste. Storage can be forbidden; nothing is then remembered. */
export function stored(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function store(key: string, value: string) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Forbidden, or full: the wish holds until the page is left.
  }
}
