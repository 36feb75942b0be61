import type { Logger } from 'coequal';

/** A logger that keeps its lines. */
export interface Recorder extends Logger {
  readonly lines: { level: string; fields: Record<string, unknown>; message: string }[];
}

/** Makes a logger whose lines a test reads. */
export function recorder(): Recorder {
  const lines: Recorder['lines'] = [];
  const at = (level: string) => (fields: object, message: string) =>
    void lines.push({ level, fields: { ...fields }, message });
  return { lines, info: at('info'), warn: at('warn'), error: at('error') };
}
