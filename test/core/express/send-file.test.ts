import { mkdtemp, readdir, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { connect, Controller, Get, UseMiddleware } from 'coequal';
import { serve } from 'coequal/testing';

interface FileResponse {
  sendFile(path: string, options: { headers: Record<string, string> }): void;
}

/** Whether this process has a file open. */
async function isOpen(file: string): Promise<boolean> {
  const folder = '/proc/self/fd';
  const links = (await readdir(folder)).map((fd) => readlink(join(folder, fd)).catch(() => ''));
  return (await Promise.all(links)).includes(file);
}

describe('res.sendFile', () => {
  let folder: string;
  let file: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'coequal-'));
    file = join(folder, 'file.txt');
    await writeFile(file, 'content');
  });
  after(() => rm(folder, { recursive: true }));

  @Controller()
  class Files {
    @Get('/invalid')
    @UseMiddleware(
      connect((_req: unknown, res: FileResponse) =>
        res.sendFile(file, { headers: { 'x-name': 'caf\u0142' } }),
      ),
    )
    invalid() {}
  }
  const server = serve({ controllers: [Files], logger: false });

  it('closes the file if a header field is invalid', async function () {
    if (process.platform !== 'linux') this.skip();
    expect((await server.fetch('/invalid')).status).to.equal(500);
    while (await isOpen(file));
  });
});
