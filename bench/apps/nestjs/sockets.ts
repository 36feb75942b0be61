import 'reflect-metadata';
import type { AddressInfo } from 'node:net';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { WsAdapter } from '@nestjs/platform-ws';
import { Module } from '@nestjs/common';
import {
  MessageBody,
  type OnGatewayConnection,
  SubscribeMessage,
  WebSocketGateway,
  WebSocketServer,
} from '@nestjs/websockets';

interface Client {
  user?: object;
  attributes?: Map<string, string>;
  send(text: string): void;
}

let publish: (text: string) => void = () => {};

/** Messages are `{ event, data }`, the adapter's own shape. Guards do not run when a client connects. */
@WebSocketGateway({ path: '/' })
class BenchGateway implements OnGatewayConnection {
  @WebSocketServer()
  server!: { clients: Set<Client> };

  afterInit() {
    publish = (text) => {
      for (const client of this.server.clients) client.send(text);
    };
  }

  handleConnection(client: Client) {
    client.user = { name: 'alice' };
    client.attributes = new Map([['room', 'lobby']]);
  }

  @SubscribeMessage('text')
  text(@MessageBody() text: string) {
    return { event: 'text', data: text };
  }

  @SubscribeMessage('json')
  json(@MessageBody() value: object) {
    return { event: 'json', data: value };
  }
}

@Module({ providers: [BenchGateway] })
class BenchModule {}

export async function start() {
  const app = await NestFactory.create<NestFastifyApplication>(BenchModule, new FastifyAdapter(), {
    logger: false,
  });
  app.useWebSocketAdapter(new WsAdapter(app));
  await app.listen(0, '127.0.0.1');
  return {
    port: (app.getHttpServer().address() as AddressInfo).port,
    publish: (text: string) => publish(text),
  };
}
