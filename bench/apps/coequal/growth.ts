import { Controller, Get, Param, createApp, type Middleware } from 'coequal';

const pass: Middleware = (_ctx, next) => next();

/** Routes over controllers; `startup` is the time in ms from the decorated classes to the open port. */
export async function start({ routes = 1, middleware = 0, perController = 1 }) {
  const controllers: (new () => object)[] = [];
  for (let i = 0; i < routes; i += perController)
    controllers.push(area(i, Math.min(perController, routes - i)));
  const began = performance.now();
  const app = createApp({ controllers, middleware: Array.from({ length: middleware }, () => pass) });
  const { port } = await app.listen({ port: 0, host: '127.0.0.1' });
  return { port, startup: performance.now() - began };
}

function area(first: number, count: number): new () => object {
  class AreaController {}
  for (let i = first; i < first + count; i++) {
    const name = `area${i}`;
    const method = (id: string) => ({ area: i, id });
    Object.defineProperty(AreaController.prototype, name, {
      value: method,
      writable: true,
      configurable: true,
    });
    const descriptor = Object.getOwnPropertyDescriptor(AreaController.prototype, name);
    Param('id')(AreaController.prototype, name, 0);
    Reflect.defineMetadata('design:paramtypes', [String], AreaController.prototype, name);
    Get(`/area${i}/items/:id`)(AreaController.prototype, name, descriptor!);
  }
  Controller()(AreaController);
  return AreaController;
}
