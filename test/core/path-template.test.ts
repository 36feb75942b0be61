import { expect } from 'chai';
import { Controller, Get, Param, Post } from 'coequal';
import { serve } from 'coequal/testing';
import { refusal } from '../support/refusal.js';

function controllerOf(...paths: string[]): new () => object {
  class Paths {}
  for (const [index, path] of paths.entries()) {
    Object.defineProperty(Paths.prototype, `m${index}`, { value: () => `${index}` });
    Get(path)(Paths.prototype, `m${index}`, {});
  }
  Controller()(Paths);
  return Paths;
}

describe('a template of a path', () => {
  it('may have colons, asterisks and slashes in its expressions, and doubled colons in its text', async () => {
    @Controller()
    class Items {
      @Get('/items/:id(^[a-z]:x$)')
      item(@Param('id') id: string) {
        return id;
      }
      @Get('/either/:id(^(?::a|:b*)$)/one')
      one() {
        return 'one';
      }
      @Get('/either/:id(^(?::c|[^/]d)$)/two')
      two() {
        return 'two';
      }
      @Get('/at/::now')
      now() {
        return 'now';
      }
      @Post('/time/:hour(^\\d{2}$)h:minute(^\\d{2}$)m')
      time(@Param() time: Record<string, string>) {
        return time;
      }
    }
    const server = serve({ controllers: [Items], logger: false });
    const text = async (path: string, init?: RequestInit): Promise<string> =>
      (await server.fetch(path, init)).text();
    expect(await text('/items/a:x')).to.equal('a:x');
    expect((await server.fetch('/items/a')).status).to.equal(404);
    expect(await text('/either/:bb/one')).to.equal('one');
    expect(await text('/either/:c/two')).to.equal('two');
    expect(await text('/at/:now')).to.equal('now');
    expect(await text('/time/12h30m', { method: 'POST' })).to.equal('{"hour":"12","minute":"30"}');
    await server.close();
  });

  it('has no parameter of the words in its expressions', () => {
    @Controller()
    class Items {
      @Get('/items/:id(^[a-z]:x$)')
      item(@Param('x') x: string) {
        return x;
      }
    }
    expect(refusal([Items])).to.match(/Items\.item, parameter 0.* has no parameter :x; it has :id$/);
  });

  const refused: [paths: string[], told: RegExp][] = [
    [['/x/:id(^a$)', '/x/:name(^b$)'], /^Paths\.m1 and Paths\.m0 both answer GET .*expressions and names/],
    [['/x/:a-:b', '/x/:c(^x$)-:d'], /^Paths\.m1 and Paths\.m0 both answer GET/],
    [['/x/:a?', '/x'], /^Paths\.m1 and Paths\.m0 both answer GET \/x:/],
    [['/x/:a:b'], /has the parameter :a, whose name does not end there/],
    [['/x/:a::b'], /has the parameter :a, whose name does not end there/],
    [['/:größe'], /has the parameter :gr, whose name does not end there: names are letters, digits and _/],
    [['/x/:/y'], /has a parameter without a name: write :name, or :: for a colon/],
    [['/:id/x/:id'], /has the parameter :id twice/],
    [['/(users|people)'], /has an expression that belongs to no parameter/],
    [['/x/:id(^\\d+$)?'], /has a \? that makes no parameter optional: .* write two decorators/],
    [['/x?'], /has a \? that makes no parameter optional/],
    [['/x/../y'], /matches nothing: write \/y$/],
    [['/caf%C3%A9'], /matches nothing: write \/café$/],
    [['/a%2Fb'], /matches nothing$/],
    [['/{id:[0-9]{3}}'], /so write \/:id\(\^\[0-9\]\{3\}\$\)$/],
    [['/{id:int}'], /so write \/:id$/],
  ];
  for (const [paths, told] of refused) {
    it(`is refused with a remedy: ${paths.join(' and ')}`, () => {
      expect(refusal([controllerOf(...paths)]))
        .to.match(/Paths\.m\d/)
        .and.to.match(told);
    });
  }

  it('may have a percent sign that escapes nothing', async () => {
    const server = serve({ controllers: [controllerOf('/100%')], logger: false });
    expect((await server.fetch('/100%25')).status).to.equal(200);
    await server.close();
  });
});
