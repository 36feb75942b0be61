import 'reflect-metadata';
import type { AddressInfo } from 'node:net';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Controller, Module, Sse } from '@nestjs/common';
import { Subject } from 'rxjs';

const ticks = new Subject<{ data: string }>();

@Controller()
class BenchController {
  @Sse('/events')
  events() {
    return ticks;
  }
}

@Module({ controllers: [BenchController] })
class BenchModule {}

export async function start() {
  const app = await NestFactory.create<NestFastifyApplication>(BenchModule, new FastifyAdapter(), {
    logger: false,
  });
  await app.listen(0, '127.0.0.1');
  return {
    port: (app.getHttpServer().address() as AddressInfo).port,
    publish: (text: string) => ticks.next({ data: text }),
  };
}
