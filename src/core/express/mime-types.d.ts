declare module 'mime-types' {
  /** The `Content-Type` of an extension or type, with its charset. */
  export function contentType(typeOrExtension: string): string | false;
  /** The type of an extension or path. */
  export function lookup(path: string): string | false;
}
