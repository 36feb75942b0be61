/** The name in an authority (RFC 3986, section 3.2) as hosts are compared: without port, the root's dot and case. */
export function hostname(authority: string): string {
  return authority.replace(/:\d*$/, '').replace(/\.$/, '').toLowerCase();
}
