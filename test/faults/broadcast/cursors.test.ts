import { expect } from 'chai';
import { Channels, defineChannel, type Channel } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { doors } from '../../support/doors.js';
import { openReader, readerKinds, type Reader, type ReaderKind } from '../../support/reader.js';
import { RawClient } from '../../support/raw-client.js';
import { roomsOf } from '../../support/rooms.js';

const Room = defineChannel<unknown>('rooms/:room', { history: 5 });
const Brief = defineChannel<unknown>('brief/:room', { history: { age: 1 } });
const Private = defineChannel<unknown>('private/:room', {
  history: 5,
  authorize: ({ query }) => query['key'] === 'right',
});

describe('Broadcast', () => {
  describe('a cursor that is not what it should be', () => {
    const { server, log, holds } = mistreated({
      controllers: [roomsOf(Room), roomsOf(Brief), roomsOf(Private)],
    });
    let room: Channel<unknown>;
    let path = '';
    let own = '';
    let serial = 0;
    const open: Reader[] = [];

    beforeEach(async () => {
      path = `/rooms/${++serial}`;
      room = of(Room);
      room.publish('seen');
      own = await told('sse', path);
      room.publish('missed');
    });
    afterEach(() => {
      for (const reader of open.splice(0)) reader.leave();
    });

    function of(definition: typeof Room): Channel<unknown> {
      return server.app.container.resolve(Channels).of(definition, { room: serial });
    }

    async function read(kind: ReaderKind, where: string, cursor?: string): Promise<Reader> {
      const inQuery = kind === 'websocket' && cursor !== undefined;
      const separator = where.includes('?') ? '&' : '?';
      const reader = await openReader(
        server,
        kind,
        inQuery ? `${where}${separator}lastEventId=${encodeURIComponent(cursor)}` : where,
        {
          protocols: ['coequal.events'],
          headers: kind === 'sse' && cursor !== undefined ? { 'last-event-id': cursor } : {},
        },
      );
      open.push(reader);
      return reader;
    }

    /** The first cursor that a reader is told. */
    async function told(kind: ReaderKind, where: string): Promise<string> {
      const { cursor = '' } = await (
        await read(kind, where)
      ).until(({ cursor: known }) => known !== undefined);
      return cursor;
    }

    /** What a reader is sent before the message that is published once it is there. */
    async function before(reader: Reader, channel = room): Promise<unknown[]> {
      channel.publish('last');
      await reader.until(({ last }) => last === 'last');
      return reader.received
        .slice(0, -1)
        .map(({ event, data }) => (event === undefined ? data : { [event]: data }));
    }

    function gap(reason: string): unknown {
      return { gap: { reason } };
    }

    const malformed: [what: string, make: () => string][] = [
      ['is a number', () => '42'],
      ['has a sign in its offset', () => own.replace(/\w+$/, '-1')],
      ['has an offset beyond all that is safe', () => own.replace(/\w+$/, 'zzzzzzzzzzz')],
      ['has an offset that is too long', () => own.replace(/\w+$/, '0'.repeat(12))],
      ['has a fourth part', () => `${own}.0`],
      ['has lost its end', () => own.slice(0, -2)],
      ['has lost its beginning', () => own.slice(1)],
      ['is in capitals', () => own.toUpperCase()],
      ['is given twice in one', () => `${own}, ${own}`],
      ['is a path', () => '../../etc/passwd'],
      ['is a property of a prototype', () => 'constructor'],
      ['is 8,000 characters long', () => 'x'.repeat(8_000)],
    ];

    for (const kind of readerKinds) {
      for (const [what, make] of malformed) {
        holds(`is answered by a reset that says so, by ${kind}, where it ${what}`, async () => {
          const reader = await read(kind, path, make());
          expect(await before(reader)).to.deep.equal([gap('unknown'), 'seen', 'missed']);
        });
      }

      holds(
        `is answered by a reset that says so, by ${kind}, where it is of another life of the server`,
        async () => {
          const reader = await read(kind, path, `AAAAAAAA${own.slice(8)}`);
          expect(await before(reader)).to.deep.equal([gap('epoch'), 'seen', 'missed']);
        },
      );

      holds(
        `is answered by a reset that says so, by ${kind}, where its channel was forgotten meanwhile`,
        async () => {
          const brief = of(Brief);
          const where = `/brief/${serial}`;
          brief.publish('seen');
          const cursor = await told(kind, where);
          for (const reader of open.splice(0)) reader.leave();
          brief.publish('missed');
          // What was missed is gone when its age is over, and with the last reader the channel itself.
          while ((await brief.history()).length > 0) await new Promise((resolve) => setTimeout(resolve, 1));
          const reader = await read(kind, where, cursor);
          expect(await before(reader, brief)).to.deep.equal([gap('trimmed')]);
        },
      );

      holds(`opens nothing by ${kind} where it is of a channel that may not be read`, async () => {
        of(Private).publish('secret');
        const cursor = await told(kind, `/private/${serial}?key=right`);
        const refused = await read(kind, `/private/${serial}?key=wrong`, cursor).catch(String);
        expect(refused).to.match(/403/);
        // On a channel that may be read it is just foreign: nothing of the other one is told.
        expect(await before(await read(kind, path, cursor))).to.deep.equal([
          gap('unknown'),
          'seen',
          'missed',
        ]);
      });

      holds(`is none by ${kind} where it is empty: the reader is new`, async () => {
        expect(await before(await read(kind, path, ''))).to.deep.equal(['seen', 'missed']);
      });
    }

    for (const door of doors) {
      holds(`is refused by ${door.kind}, by field and by query, with the same 403 as none`, async () => {
        of(Private).publish('secret');
        const cursor = await told('sse', `/private/${serial}?key=right`);
        const bodies = new Set<string>();
        for (const [query, headers] of [
          ['', {}],
          [`?lastEventId=${cursor}`, {}],
          ['', { 'last-event-id': cursor }],
          [`?lastEventId=${cursor}`, { 'last-event-id': own }],
        ] as const) {
          const visit = await door.open(server, `/private/${serial}${query}`, headers);
          expect(visit.status).to.equal(403);
          const { title, detail } = visit.problem;
          bodies.add(`${title}: ${detail}`);
        }
        expect([...bodies]).to.deep.equal(['Forbidden: The channel may not be read']);
        expect(log.at('error')).to.deep.equal([]);
      });
    }

    holds('is that of the field where a stream has another in the query', async () => {
      const reader = await read('sse', `${path}?lastEventId=nonsense`, own);
      expect(await before(reader)).to.deep.equal(['missed']);
    });

    for (const kind of readerKinds) {
      holds(`is answered by a reset that says so, by ${kind}, where the query has it twice`, async () => {
        const reader = await read(kind, `${path}?lastEventId=${own}&lastEventId=${own}`);
        expect(await before(reader)).to.deep.equal([gap('unknown'), 'seen', 'missed']);
      });
    }

    for (const [what, field] of [
      ['in two fields', () => `Last-Event-ID: ${own}\r\nLast-Event-ID: ${own}`],
      ['with bytes beyond ASCII', () => `Last-Event-ID: ${own}\xff\xfe`],
    ] as const) {
      holds(`is answered by a reset that says so where it comes ${what}`, async () => {
        const client = await RawClient.connect(await server.url());
        const head = [
          `GET ${path} HTTP/1.1`,
          'Host: localhost',
          'Accept: text/event-stream',
          field(),
          '',
          '',
        ];
        client.write(Buffer.from(head.join('\r\n'), 'latin1'));
        const text = (await client.until((bytes) => bytes.includes('data: missed'))).toString();
        expect(text).to.include('event: gap\ndata: {"reason":"unknown"}\n\n');
        client.reset();
      });
    }
  });
});
