/** What a spelling of a path means: the same path, another one, or nothing at all. */
export type Meaning = 'same' | 'other' | 'malformed';

export interface Spelling {
  /** The target of the request as it is to be written, one byte a character. */
  readonly target: string;
  readonly meaning: Meaning;
}

/**
 * Ways to write a path, most of which some server or proxy reads as another one does not.
 * @param path begins with a segment of plain letters, and there is a public `/canary` beside it
 */
export function spellingsOf(path: string): Spelling[] {
  const [, first = '', ...others] = path.split('/');
  const rest = others.map((segment) => `/${segment}`).join('');
  const [initial = ''] = first;
  const tail = first.slice(1);
  const hex = initial.charCodeAt(0).toString(16);
  const means = (meaning: Meaning, targets: string[]): Spelling[] =>
    targets.map((target) => ({ target, meaning }));
  return [
    ...means('same', [
      path,
      `/${path}`,
      `///${path}//`,
      `${path}/`,
      `${path}/.`,
      `${path}/x/..`,
      `/.${path}`,
      `/..${path}`,
      `/../..${path}`,
      `/%2e${path}`,
      `/%2E%2E${path}`,
      `/.%2e${path}`,
      `/x/..${path}`,
      `/x/%2e%2e${path}`,
      `/canary/..${path}`,
      `/canary/%2e%2e${path}`,
      `/canary;/..${path}`,
      `/canary/.././${path}`,
      `/%${hex}${tail}${rest}`,
      `/${Array.from(first)
        .map((letter) => `%${letter.charCodeAt(0).toString(16)}`)
        .join('')}${rest}`,
      `${path}?`,
      `${path}?x`,
      `${path}?x=/../canary`,
      `http://localhost${path}`,
      `HTTP://localhost//%${hex}${tail}${rest}/`,
      `http://localhost/canary/..${path}`,
    ]),
    ...means('other', [
      path.toUpperCase(),
      `/${initial.toUpperCase()}${tail}${rest}`,
      `/%${initial.toUpperCase().charCodeAt(0).toString(16)}${tail}${rest}`,
      `${path}%2f/x/y`,
      `/${first}%2f${rest}`,
      `/%2f${first}${rest}`,
      `/canary/${first}${rest}`,
      `/localhost${path}`,
      `//localhost${path}`,
      `/${first};a=b${rest}`,
      `/;${path}`,
      `/..;${path}`,
      `/...${path}`,
      `/${first}.${rest}`,
      `/.${first}${rest}`,
      `/${first}%20${rest}`,
      `/${first}%3f${rest}`,
      `/${first}%23${rest}`,
      `/%25${hex}${tail}${rest}`,
      `/%252e%252e${path}`,
      `/%ef%bd%81${tail}${rest}`,
      `/${first}%e2%80%8b${rest}`,
      `/${first}%cc%81${rest}`,
    ]),
    ...means('malformed', [
      `/${first}%00${rest}`,
      `/${first}%0d%0a${rest}`,
      `/%09${first}${rest}`,
      `/\\${first}${rest}`,
      `/x\\..\\${first}${rest}`,
      `/${first}%5c${rest}`,
      `/..%5c${first}${rest}`,
      `/canary%2f..%2f${first}${rest}`,
      `/canary/..%2f${first}${rest}`,
      `/%c1%a1${tail}${rest}`,
      `/%c0%ae%c0%ae${path}`,
      `/%e0%80%af${first}${rest}`,
      `/%f0%80%81%a1${tail}${rest}`,
      `/%u0061${tail}${rest}`,
      `/${first}%ff${rest}`,
      `/${first}%${rest}`,
      `/${first}%2${rest}`,
      `${path}#`,
      `${path}#x`,
      `/#${path}`,
      `${path}\t`,
      `/\t${first}${rest}`,
      `${path}\0`,
      `/\x7f${first}${rest}`,
      `/\xef\xbd\x81${tail}${rest}`,
      `/${first}\xff${rest}`,
      `${first}${rest}`,
      '*',
      `http://evil.example${path}`,
      `http://localhost:1${path}`,
      `http://localhost@evil.example${path}`,
      `http://evil@localhost${path}`,
      `http:${path}`,
    ]),
  ];
}
