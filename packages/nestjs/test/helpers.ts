import type { INestMicroservice, LoggerService, Type } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import {
  NodepollClient,
  type NodepollClientOptions,
  NodepollServer,
  type NodepollServerOptions,
} from '@nodepoll/nestjs'
import type { ExecutionContext } from 'ava'
import type { InetAddress, Server } from 'nodepoll'

export interface Service {
  readonly app: INestMicroservice
  readonly server: NodepollServer
  readonly port: number
  /** What the server has reported. */
  readonly errors: { code?: string; message: string }[]
}

/** Says nothing: what is reported is looked at where it matters. */
export const silent: LoggerService = { log() {}, error() {}, warn() {} }

export async function startService(
  t: ExecutionContext,
  root: Type,
  options: NodepollServerOptions = {},
  prepare: (app: INestMicroservice) => void = () => {},
): Promise<Service> {
  const server = new NodepollServer({ host: '127.0.0.1', port: 0, ...options })
  const errors: Service['errors'] = []
  server.on('error', (error) => errors.push(error as Error))
  const app = await NestFactory.createMicroservice(root, { strategy: server, logger: silent })
  prepare(app)
  await app.listen()
  t.teardown(() => app.close())
  const { port } = server.unwrap<Server<InetAddress>>().address
  return { app, server, port, errors }
}

export function makeClient(
  t: ExecutionContext,
  port: number,
  options: NodepollClientOptions = {},
): NodepollClient {
  const client = new NodepollClient({ host: '127.0.0.1', port, ...options })
  t.teardown(() => client.close())
  return client
}
