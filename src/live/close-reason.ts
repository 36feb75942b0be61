/** As much of a text as the reason of a close frame holds: 123 bytes (RFC 6455, section 5.5). */
export function closeReason(text: string): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= 123) return text;
  // A character cut in two decodes to U+FFFD, which is left out.
  return bytes
    .subarray(0, 123)
    .toString()
    .replace(/\uFFFD$/, '');
}
