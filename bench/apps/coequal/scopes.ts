import { Controller, Get, createApp } from 'coequal';
import { Lifecycle, container, injectable, scoped, singleton } from 'tsyringe';

@singleton()
class Settings {
  readonly greeting = 'Hello, World!';
}

@scoped(Lifecycle.ContainerScoped)
class Work {
  constructor(readonly settings: Settings) {}
}

@injectable()
@Controller('/plain')
class PlainController {
  constructor(private readonly settings: Settings) {}

  @Get()
  show() {
    return { message: this.settings.greeting };
  }
}

@injectable()
@Controller('/scoped')
class ScopedController {
  constructor(private readonly work: Work) {}

  @Get()
  show() {
    return { message: this.work.settings.greeting };
  }
}

/** `resolve` is what tsyringe itself takes for one scope and one such controller, in ns. */
export async function start() {
  const { port } = await createApp({ controllers: [PlainController, ScopedController] }).listen({
    port: 0,
    host: '127.0.0.1',
  });
  return { port, resolve: resolveTime() };
}

function resolveTime(): number {
  const rounds = [0, 0, 0, 0, 0].map(() => {
    const began = process.hrtime.bigint();
    for (let i = 0; i < 100_000; i++) container.createChildContainer().resolve(ScopedController).show();
    return Number(process.hrtime.bigint() - began) / 100_000;
  });
  return rounds.sort((a, b) => a - b)[2]!;
}
