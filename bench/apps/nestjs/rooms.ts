import 'reflect-metadata';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { WsAdapter } from '@nestjs/platform-ws';
import { Module, StandardSchemaValidationPipe, UsePipes } from '@nestjs/common';
import {
  ConnectedSocket,
  MessageBody,
  type OnGatewayConnection,
  type OnGatewayDisconnect,
  SubscribeMessage,
  WebSocketGateway,
} from '@nestjs/websockets';
import { Room, Say, nameOf } from '../rooms.js';

interface Client {
  user: string;
  room: Room;
  leave(): void;
  send(text: string): void;
}

@WebSocketGateway({ path: '/' })
class RoomGateway implements OnGatewayConnection, OnGatewayDisconnect {
  handleConnection(client: Client, { url = '' }: IncomingMessage) {
    const { searchParams } = new URL(url, 'ws://localhost');
    client.user = searchParams.get('user') ?? '';
    client.room = Room.of(searchParams.get('room') ?? '');
    client.leave = client.room.join(
      client.user,
      (text) => client.send(text),
      (event, data) => JSON.stringify({ event, data }),
    );
  }

  handleDisconnect(client: Client) {
    client.leave();
  }

  @SubscribeMessage('say')
  @UsePipes(StandardSchemaValidationPipe)
  async say(@ConnectedSocket() { user, room }: Client, @MessageBody({ schema: Say }) said: Say) {
    const from = await nameOf(user);
    room.publish(JSON.stringify({ event: 'say', data: { from, ...said } }));
  }
}

@Module({ providers: [RoomGateway] })
class RoomModule {}

export async function start() {
  const app = await NestFactory.create<NestFastifyApplication>(RoomModule, new FastifyAdapter(), {
    logger: false,
  });
  app.useWebSocketAdapter(new WsAdapter(app));
  await app.listen(0, '127.0.0.1');
  return { port: (app.getHttpServer().address() as AddressInfo).port };
}
