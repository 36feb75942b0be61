import { once } from 'node:events';
import { expect } from 'chai';
import { Controller, createApp, WebSocket, type App } from 'coequal';
import { WebSocket as Client, WebSocketServer } from 'ws';

@Controller('/own')
class Own {
  @WebSocket()
  open() {
    return 'own';
  }
}

describe('an upgrade that no route wants', () => {
  let app: App;
  beforeEach(() => {
    app = createApp({ controllers: [Own], logger: false });
  });
  afterEach(() => app.close({ grace: 100 }));

  for (const order of ['before', 'after'] as const) {
    it(`is left to another listener that was added ${order} ours`, async () => {
      const beside = new WebSocketServer({ noServer: true });
      const listen = order === 'before' ? 'prependListener' : 'on';
      app.server[listen]('upgrade', (request, socket, head) => {
        if (request.url !== '//other/') return;
        beside.handleUpgrade(request, socket, head, (client) => client.send('beside'));
      });
      const { port } = await app.listen();
      const say = async (path: string): Promise<string> => {
        const client = new Client(`ws://127.0.0.1:${port}${path}`);
        const [message] = (await once(client, 'message')) as [Buffer];
        client.terminate();
        return message.toString();
      };
      expect([await say('//other/'), await say('/own')]).to.deep.equal(['beside', 'own']);
    });
  }

  it('is answered as plain HTTP where there is no other listener', async () => {
    const { port } = await app.listen();
    const client = new Client(`ws://127.0.0.1:${port}/other`);
    const [, response] = (await once(client, 'unexpected-response')) as [unknown, { statusCode: number }];
    expect(response.statusCode).to.equal(404);
    client.on('error', () => undefined).terminate();
  });
});
