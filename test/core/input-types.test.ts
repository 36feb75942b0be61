import { expect } from 'chai';
import { Body, Controller, createApp, Get, Post, Query } from 'coequal';
import { serve } from 'coequal/testing';
import { z } from 'zod';
import { refusal } from '../support/refusal.js';

class Dto {
  age = 1;
}

describe('an input whose type says nothing', () => {
  it('is refused at start-up with a remedy', () => {
    const cases: [ParameterDecorator, unknown, RegExp][] = [
      [Query('n'), Object, /@Query\('n'\), but the compiler emits Object .*@Query\('n', Number\)/],
      [Query('n'), Array, /elements of an array: give @Query\('n', \[Number\]\)/],
      [Query('n'), BigInt, /bigint is not converted: give a schema/],
      [Query('n'), Set, /nothing validates or converts to Set/],
      [Query('n'), URL, /nothing validates or converts to URL/],
      [Query(), Dto, /nothing converts a whole record to Dto/],
      [Query(String), String, /nothing converts a whole record to String/],
      [Body(), Dto, /nothing validates or converts to Dto: give a schema/],
      [Body(), Array, /elements of an array: give @Body\(\[Number\]\)/],
      [Body(undefined), Object, /its argument is undefined, most often because of a circular import/],
      [Body({ type: 'object' } as never), Object, /neither a type nor a Standard Schema/],
      [Body(Dto as never), Dto, /nothing validates or converts to Dto/],
    ];
    for (const [parameter, type, told] of cases) {
      class Rest {
        show(value: unknown) {
          return value;
        }
      }
      parameter(Rest.prototype, 'show', 0);
      Reflect.defineMetadata('design:paramtypes', [type], Rest.prototype, 'show');
      Post()(Rest.prototype, 'show', {});
      Controller()(Rest);
      expect(refusal([Rest])).to.match(/^Rest\.show, parameter 0, is @/);
      expect(refusal([Rest])).to.match(told);
    }
  });

  it('is taken as it came where Object says so, without emitted metadata too', () => {
    class Rest {
      show(value: unknown) {
        return value;
      }
    }
    Body(Object)(Rest.prototype, 'show', 0);
    Post()(Rest.prototype, 'show', {});
    Controller()(Rest);
    expect(createApp({ controllers: [Rest] }).explain()).to.contain('Rest.show');
  });
});

describe('a list', () => {
  @Controller('/lists')
  class Lists {
    @Get('/typed')
    typed(@Query('ids', [Number]) ids: number[]) {
      return ids;
    }
    @Get('/schema')
    schema(@Query('ids', z.array(z.coerce.number())) ids: number[]) {
      return ids;
    }
    @Post()
    body(@Body([Number]) ids: number[]) {
      return ids;
    }
  }
  const server = serve({ controllers: [Lists], logger: false });

  for (const path of ['/lists/typed', '/lists/schema']) {
    it(`has its elements converted, and one value is a list of one: ${path}`, async () => {
      expect(await (await server.fetch(`${path}?ids=1&ids=2`)).json()).to.deep.equal([1, 2]);
      expect(await (await server.fetch(`${path}?ids=7`)).json()).to.deep.equal([7]);
      const refused = await server.fetch(`${path}?ids=1&ids=x`);
      expect(refused.status).to.equal(400);
      expect(((await refused.json()) as { errors: { path: string }[] }).errors[0]?.path).to.equal('ids.1');
    });
  }

  it('is a list in a body, too', async () => {
    expect(await (await server.fetch('/lists', { json: [1, 2] })).json()).to.deep.equal([1, 2]);
    for (const json of [7, ['x']]) expect((await server.fetch('/lists', { json })).status).to.equal(400);
  });
});
