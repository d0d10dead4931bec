/** Recordings by the end of their name, for clients that give no type of a file. */
const TYPES: ReadonlyMap<string, string> = new Map([
  ['wav', 'audio/wav'],
  ['mp3', 'audio/mpeg'],
  ['mpga', 'audio/mpeg'],
  ['mpeg', 'audio/mpeg'],
  ['flac', 'audio/flac'],
  ['ogg', 'audio/ogg'],
  ['m4a', 'audio/m4a'],
  ['mp4', 'audio/mp4'],
  ['webm', 'audio/webm'],
]);

/** The type of a form's file: what its part says or, where that says nothing, what its name does. */
export function fileContentType({ filename, contentType }: { filename: string; contentType: string }): string {
  if (contentType !== '' && contentType !== 'application/octet-stream') return contentType;
  const end = filename.slice(filename.lastIndexOf('.') + 1).toLowerCase();
  return TYPES.get(end) ?? 'application/octet-stream';
}
