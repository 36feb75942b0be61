import { expect } from 'chai';
import { Body, Controller, WebSocket } from 'coequal';
import { serve } from 'coequal/testing';

describe('the rate of a socket', () => {
  const seen: string[] = [];

  @Controller()
  class Site {
    @WebSocket('/limited', { rate: 5 }) limited(@Body() text: string) {
      seen.push(text);
    }
    @WebSocket('/free') free(@Body() text: string) {
      return text;
    }
  }

  const server = serve({ controllers: [Site], logger: false });

  it('closes one that sends more with 1008, and hands on none of what is too much', async () => {
    const socket = await server.socket('/limited');
    for (let i = 0; i < 50; i++) socket.send(`${i}`);
    expect(await socket.closed()).to.deep.equal({ code: 1008, reason: 'too many messages' });
    // While the messages came, the second went on: it may have allowed one more.
    expect(seen.slice(0, 5)).to.deep.equal(['0', '1', '2', '3', '4']);
    expect(seen.length).to.be.at.most(6);
  });

  it('is not limited unless the route says so', async () => {
    const socket = await server.socket('/free');
    for (let i = 0; i < 500; i++) socket.send(`${i}`);
    for (let i = 0; i < 500; i++) expect(await socket.next()).to.equal(`${i}`);
  });
});
