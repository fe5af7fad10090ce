/** What is asked of one by its id, of the revision that was seen only. */
export const asSeen = (id: string, revision: number | string) => ({ params: { path: { id }, header: { 'If-Match': `"${revision}"` } } });
