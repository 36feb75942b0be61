import { expect } from 'chai';
import { Transform, Type } from 'class-transformer';
import {
  IsBoolean,
  IsDate,
  IsEnum,
  IsIn,
  IsInt,
  IsOptional,
  IsString,
  Min,
  ValidateNested,
} from 'class-validator';
import {
  Body,
  Controller,
  Get,
  Headers,
  HttpError,
  Param,
  Post,
  Query,
  Rpc,
  WebSocket,
  type Validator,
  type Violation,
} from 'coequal';
import { classValidator } from 'coequal/class-validator';
import { serve } from 'coequal/testing';
import { z } from 'zod';
import { refusal } from './support/refusal.js';

class Line {
  @IsString() symbol!: string;
  @IsInt() @Min(1) shares!: number;
}
class Order {
  @ValidateNested({ each: true }) @Type(() => Line) lines!: Line[];
  get count(): number {
    return this.lines.length;
  }
}
class List {
  @IsInt() page: number = 1;
  @IsBoolean() @IsOptional() open?: boolean;
  @IsString({ each: true }) @IsOptional() tags?: string[];
  @Transform(({ value }) => (value as unknown) === 'yes') @IsBoolean() @IsOptional() all?: boolean;
}
class Id {
  @IsInt() id!: number;
}
class Fields {
  @IsString() 'x-tenant'!: string;
}

@Controller('/orders')
class Orders {
  @Post()
  add(@Body() order: Order) {
    return { order, made: order instanceof Order, count: order.count };
  }
  @Post('/lines')
  lines(@Body([Line]) lines: Line[]) {
    return { lines, made: lines.every((line) => line instanceof Line) };
  }
  @Get()
  list(@Query() query: List) {
    return query;
  }
  @Get('/of/:id')
  one(@Param() { id }: Id, @Headers() fields: Fields) {
    return { id, fields };
  }
  @WebSocket('/socket')
  message(@Body() line: Line) {
    return { line };
  }
  @Rpc()
  buy(@Body() line: Line) {
    return line;
  }
}

async function errorsOf(response: Response): Promise<Violation[]> {
  expect(response.status).to.equal(400);
  return ((await response.json()) as { errors: Violation[] }).errors;
}

describe('a class that class-validator knows', () => {
  const server = serve({ controllers: [Orders], validator: classValidator(), logger: false });

  it('is made of a body, without what it does not declare', async () => {
    const json = { lines: [{ symbol: 'ACME', shares: 3, price: 0 }], admin: true };
    expect(await (await server.fetch('/orders', { json })).json()).to.deep.equal({
      order: { lines: [{ symbol: 'ACME', shares: 3 }] },
      made: true,
      count: 1,
    });
  });

  it('is refused by the path of each mistake', async () => {
    const json = {
      lines: [
        { symbol: 'ACME', shares: 3 },
        { symbol: 7, shares: 1 },
      ],
    };
    expect(await errorsOf(await server.fetch('/orders', { json }))).to.deep.equal([
      { path: 'lines.1.symbol', message: 'symbol must be a string' },
    ]);
  });

  it('is refused where the body is missing, a list, or of another type', async () => {
    expect(await errorsOf(await server.fetch('/orders', { method: 'POST' }))).to.deep.equal([
      { path: '', message: 'expected an object' },
    ]);
    for (const json of [[], [{ lines: [] }], 'text', 7, null]) {
      await errorsOf(await server.fetch('/orders', { json }));
    }
  });

  it('is refused where class-transformer would fail', async () => {
    await errorsOf(await server.fetch('/orders', { json: { lines: [], more: { constructor: 1 } } }));
    const deep = `{"lines":[],"more":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
    const headers = { 'content-type': 'application/json' };
    const response = await server.fetch('/orders', { method: 'POST', body: deep, headers });
    expect(response.status).to.equal(400);
  });

  it('has at most 50 of its errors listed, and their number', async () => {
    const json = Array.from({ length: 80 }, () => ({ symbol: 'ACME', shares: 0 }));
    const response = await server.fetch('/orders/lines', { json });
    const { errors, errorCount } = (await response.json()) as { errors: Violation[]; errorCount: number };
    expect([errors.length, errorCount, errors[49]?.path]).to.deep.equal([50, 80, '49.shares']);
  });

  it('may be the element of a list', async () => {
    const lines = [{ symbol: 'ACME', shares: 3 }];
    const response = await server.fetch('/orders/lines', { json: lines });
    expect(await response.json()).to.deep.equal({ lines, made: true });
    expect(await errorsOf(await server.fetch('/orders/lines', { json: {} }))).to.deep.equal([
      { path: '', message: 'expected a list' },
    ]);
  });

  it('is made of a whole record, whose texts are converted', async () => {
    const list = async (query: string): Promise<unknown> => (await server.fetch(`/orders${query}`)).json();
    expect(await list('')).to.deep.equal({ page: 1 });
    expect(await list('?page=2&open=false&tags=a&all=yes&more=x')).to.deep.equal({
      page: 2,
      open: false,
      tags: ['a'],
      all: true,
    });
    expect(await list('?tags=a&tags=b')).to.deep.equal({ page: 1, tags: ['a', 'b'] });
    expect((await errorsOf(await server.fetch('/orders?page=soon')))[0]?.path).to.equal('page');
    expect((await errorsOf(await server.fetch('/orders?open=maybe')))[0]?.path).to.equal('open');
  });

  it('is made of the path and of header fields', async () => {
    const headers = { 'x-tenant': 'acme' };
    const response = await server.fetch('/orders/of/7', { headers });
    expect(await response.json()).to.deep.equal({ id: 7, fields: headers });
    expect((await errorsOf(await server.fetch('/orders/of/x', { headers })))[0]?.path).to.equal('id');
  });

  it('is made of each message and of params of a call', async () => {
    const socket = await server.socket('/orders/socket');
    const next = async (): Promise<unknown> => JSON.parse(String(await socket.next()));
    const good = { symbol: 'ACME', shares: 1 };
    socket.send({ ...good, more: 1 });
    expect(await next()).to.deep.equal({ line: good });
    socket.send({ symbol: 'ACME', shares: 0 });
    expect(await next()).to.nested.include({ 'error.status': 400, 'error.errors[0].path': 'shares' });
    socket.send({ jsonrpc: '2.0', id: 1, method: 'buy', params: good });
    expect(await next()).to.deep.equal({ jsonrpc: '2.0', id: 1, result: good });
    socket.send({ jsonrpc: '2.0', id: 2, method: 'buy', params: {} });
    expect(await next()).to.nested.include({ id: 2, 'error.code': -32602 });
  });

  it('is made of a form, whose texts are converted as those of a query', async () => {
    enum Level {
      low,
      high,
    }
    enum Mixed {
      none = 0,
      some = 'some',
    }
    class Filter {
      @IsInt() age!: number;
      @IsBoolean() open!: boolean;
      @IsDate() since!: Date;
      @IsInt({ each: true }) ids!: number[];
      @IsString({ each: true }) tags!: string[];
      @IsEnum(Level) level!: Level;
      @IsEnum(Mixed) mixed!: Mixed;
      @IsIn([1, 2, 'all']) pages!: number | string;
      @IsString() name!: string;
    }
    @Controller()
    class Forms {
      @Post()
      take(@Body() filter: Filter) {
        return { filter, made: filter instanceof Filter, since: filter.since instanceof Date };
      }
      @Get()
      list(@Query() filter: Filter) {
        return this.take(filter);
      }
      @Post('/record')
      record(@Body(z.object({ age: z.string() })) form: object) {
        return form;
      }
    }
    const forms = serve({ controllers: [Forms], validator: classValidator(), logger: false });
    const fields = new URLSearchParams(
      'age=42&open=true&since=2026-01-31&ids=7&tags=a&tags=b&level=1&mixed=0&pages=2&name=10&more=x',
    );
    const right = {
      filter: {
        age: 42,
        open: true,
        since: '2026-01-31T00:00:00.000Z',
        ids: [7],
        tags: ['a', 'b'],
        level: 1,
        mixed: 0,
        pages: 2,
        name: '10',
      },
      made: true,
      since: true,
    };
    const multipart = new FormData();
    for (const [name, value] of fields) multipart.append(name, value);
    multipart.append('file', new Blob(['skipped']), 'a.txt');
    expect(await (await forms.fetch(`/?${fields.toString()}`)).json()).to.deep.equal(right);
    for (const body of [fields, multipart]) {
      expect(await (await forms.fetch('/', { method: 'POST', body })).json()).to.deep.equal(right);
      const record = await forms.fetch('/record', { method: 'POST', body });
      expect(await record.json()).to.deep.equal({ age: '42' });
    }
    const errors = await errorsOf(
      await forms.fetch('/', { method: 'POST', body: new URLSearchParams('ids=7&ids=x') }),
    );
    expect(errors.map(({ path }) => path)).to.include.members(['age', 'ids', 'name']);
    // The texts of JSON are texts.
    const strict = await errorsOf(
      await forms.fetch('/', { json: { ...right.filter, age: '42', ids: ['7'] } }),
    );
    expect(strict.map(({ path }) => path)).to.have.members(['age', 'ids', 'since']);
    await forms.close();
  });

  it('leaves what a transform of the author throws as it is: an HttpError, or a 500 that is logged once', async () => {
    class Price {
      @Transform(({ value }: { value: string }) => {
        if (value === 'sold') throw new HttpError(409, 'sold out');
        if (value === 'wide') throw new RangeError('toFixed() digits argument must be between 0 and 100');
        throw new Error('secret');
      })
      @IsString()
      amount!: string;
    }
    @Controller()
    class Prices {
      @Post()
      take(@Body() price: Price) {
        return price;
      }
      @Post('/schema')
      schema(
        @Body(
          z.string().transform(() => {
            throw new Error('secret');
          }),
        )
        text: string,
      ) {
        return text;
      }
    }
    const errors: unknown[] = [];
    const logger = {
      info: () => undefined,
      warn: () => undefined,
      error: (fields: object) => errors.push(fields),
    };
    const prices = serve({ controllers: [Prices], validator: classValidator(), logger });
    const post = async (path: string, json: unknown): Promise<[number, string]> => {
      const response = await prices.fetch(path, { json });
      return [response.status, await response.text()];
    };
    expect((await post('/', { amount: 'sold' }))[0]).to.equal(409);
    expect(errors).to.have.length(0);
    for (const [path, json] of [
      ['/', { amount: 'wide' }],
      ['/', { amount: 'x' }],
      ['/schema', 'x'],
    ] as const) {
      const [status, text] = await post(path, json);
      expect(status).to.equal(500);
      expect(text).not.to.contain('secret').and.not.to.contain('toFixed');
      expect(errors.splice(0)).to.have.length(1);
    }
    await prices.close();
  });

  it('may refuse what it does not declare', async () => {
    const strict = serve({
      controllers: [Orders],
      validator: classValidator({ forbidNonWhitelisted: true }),
      logger: false,
    });
    const errors = await errorsOf(await strict.fetch('/orders', { json: { lines: [], admin: true } }));
    expect(errors).to.deep.equal([{ path: 'admin', message: 'property admin should not exist' }]);
    await strict.close();
  });
});

describe('a class that no validator knows', () => {
  class Unknown {
    age = 1;
  }
  @Controller('/unknown')
  class Rest {
    @Post()
    add(@Body() body: Unknown) {
      return body;
    }
  }
  const told =
    /^Rest\.add, parameter 0, is @Body\(\), but nothing validates or converts to Unknown: .*schema.*classValidator\(\)/;

  it('is an error at start-up, with a validator and without', () => {
    expect(refusal([Rest])).to.match(told);
    expect(refusal({ controllers: [Rest], validator: classValidator(), logger: false })).to.match(told);
  });

  it('may be validated by a validator of your own', async () => {
    const validator: Validator = {
      validates: (type) => type === Unknown,
      validate: (_type, value) =>
        Object.hasOwn(Object(value) as object, 'age')
          ? { value }
          : { issues: [{ path: ['age'], message: 'is missing' }] },
    };
    const server = serve({ controllers: [Rest], validator, logger: false });
    expect((await server.fetch('/unknown', { json: { age: 2 } })).status).to.equal(200);
    expect(await errorsOf(await server.fetch('/unknown', { json: {} }))).to.deep.equal([
      { path: 'age', message: 'is missing' },
    ]);
    await server.close();
  });

  it('is an option that is checked', () => {
    expect(refusal({ controllers: [], validator: classValidator as never })).to.match(
      /^createApp: validator takes/,
    );
  });
});
