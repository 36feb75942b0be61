import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What the configuration of a proxy is filled with for a test. */
export interface Filling {
  /** Where its files are kept. */
  readonly folder: string;
  /** The port that it listens on. */
  readonly port: number;
  /** Host and port of the application. */
  readonly application: string;
  /** Where it sends its log, by UDP. */
  readonly log: string;
  /** Seconds to put in place of those of the file, so that a test need not wait for as long. */
  readonly seconds: Readonly<Record<number, number>>;
}

/** One request as the log of a proxy tells of it. */
export interface Told {
  /** `GET /path` */
  readonly request: string;
  readonly status: number;
  /** Whether the application was asked. */
  readonly forwarded: boolean;
}

/** A program that stands before the application, by the configuration that the documentation shows. */
export interface Proxy {
  readonly name: 'nginx' | 'haproxy' | 'caddy';
  /** Its configuration in `docs/proxies`. */
  readonly file: string;
  /** Writes the files, and gives the arguments. */
  fill(filling: Filling): string[];
  /** What a line of its log says, if it is about a request. */
  told(line: string): Told | undefined;
}

export const HOST = 'example.com';

const nginx: Proxy = {
  name: 'nginx',
  file: 'nginx.conf',
  fill({ folder, port, application, log, seconds }) {
    const site = filled('nginx.conf', seconds, {
      'server 127.0.0.1:3000': `server ${application}`,
      'listen 443': `listen 127.0.0.1:${port}`,
      '/etc/ssl/example.com.crt': join(folder, 'example.com.crt'),
      '/etc/ssl/example.com.key': join(folder, 'example.com.key'),
      // What it is told to write to a pipe it would open by name, which a pipe of Node's has not.
      '/var/log/nginx/access.log': `syslog:server=${log}`,
    });
    writeFileSync(join(folder, 'site.conf'), site);
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (what) => `${what}_temp_path ${join(folder, what)};`,
    );
    const main = [
      // The folder is of whoever runs the tests.
      ...(process.getuid?.() === 0 ? ['user root;'] : []),
      'daemon off;',
      'worker_processes 1;',
      `pid ${join(folder, 'nginx.pid')};`,
      'error_log stderr warn;',
      'events {}',
      `http { ${temporary.join(' ')} include ${join(folder, 'site.conf')}; }`,
    ];
    writeFileSync(join(folder, 'nginx.conf'), main.join('\n'));
    return ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', 'stderr'];
  },
  told(line) {
    const fields = /"(?<request>[^"]*)" (?<status>\d+) \d+ (?<upstream>.*)$/.exec(line)?.groups;
    return (
      fields && {
        request: fields['request'] ?? '',
        status: Number(fields['status']),
        forwarded: fields['upstream'] !== '-',
      }
    );
  },
};

const haproxy: Proxy = {
  name: 'haproxy',
  file: 'haproxy.cfg',
  fill({ folder, port, application, log, seconds }) {
    const rest = filled('haproxy.cfg', seconds, {
      'log global': `log ${log} format raw local0`,
      'bind :443': `bind 127.0.0.1:${port}`,
      '/etc/ssl/example.com.pem': join(folder, 'example.com.pem'),
      '127.0.0.1:3000 pool': `${application} pool`,
    });
    // One thread: its log is in the order in which things happened.
    writeFileSync(join(folder, 'haproxy.cfg'), `global\n  nbthread 1\n\n${rest}`);
    return ['-db', '-f', join(folder, 'haproxy.cfg')];
  },
  told(line) {
    const fields = /"(?<request>[^"]*)" (?<status>-?\d+) \d+ (?<server>\S+)$/.exec(line)?.groups;
    return (
      fields && {
        request: fields['request'] ?? '',
        status: Number(fields['status']),
        forwarded: fields['server'] === 'application',
      }
    );
  },
};

const caddy: Proxy = {
  name: 'caddy',
  file: 'Caddyfile',
  fill({ folder, port, application, seconds }) {
    const certificate = `tls ${join(folder, 'example.com.crt')} ${join(folder, 'example.com.key')}`;
    const text = filled('Caddyfile', seconds, {
      'example.com {': `${HOST} {\n\tbind 127.0.0.1\n\t${certificate}`,
      'reverse_proxy 127.0.0.1:3000': `reverse_proxy ${application}`,
      '\tservers {': `\thttps_port ${port}\n\tadmin off\n\tauto_https disable_redirects\n\tservers {`,
    });
    writeFileSync(join(folder, 'Caddyfile'), text);
    return ['run', '--adapter', 'caddyfile', '--config', join(folder, 'Caddyfile')];
  },
  told(line) {
    if (!line.includes('"http.log.access')) return undefined;
    const { request, status } = JSON.parse(line) as {
      request: { method: string; uri: string };
      status: number;
    };
    // What it refuses itself it does not log.
    return { request: `${request.method} ${request.uri}`, status, forwarded: true };
  },
};

export const proxies: readonly Proxy[] = [nginx, haproxy, caddy];

/** The text of a configuration, as the documentation shows it. */
export function configuration(file: string): string {
  return readFileSync(fileURLToPath(new URL(`../../../docs/proxies/${file}`, import.meta.url)), 'utf8');
}

/** @throws Error if something to be replaced is not there exactly once. */
function filled(
  file: string,
  seconds: Filling['seconds'],
  replacements: Readonly<Record<string, string>>,
): string {
  let text = configuration(file);
  for (const [from, to] of Object.entries(replacements)) {
    const parts = text.split(from);
    if (parts.length !== 2) throw new Error(`${file} has "${from}" ${parts.length - 1} times`);
    text = parts.join(to);
  }
  return text.replace(/\b(\d+)s\b/g, (_, given: string) => `${seconds[Number(given)] ?? given}s`);
}
