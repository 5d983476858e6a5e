import * as http from 'node:http'
import * as https from 'node:https'
import type * as net from 'node:net'
import type { EventEmitter } from 'node:events'
import { readFileSync } from 'node:fs'

import type { ExecutionContext } from 'ava'
import { attach, type Attached } from 'nodepoll/stream'

import { within } from './deadline.ts'

type Test = ExecutionContext<unknown>

export const key: Buffer = readFileSync(new URL('../../testdata/tls/key.pem', import.meta.url))
export const cert: Buffer = readFileSync(
  new URL('../../testdata/tls/certificate.pem', import.meta.url),
)

/** Attaches a server to a free port of the loopback; it is ended by force after the test. */
export async function start(
  t: Test,
  server: EventEmitter,
): Promise<{ attached: Attached; port: number }> {
  const attached = await attach(server, { host: '127.0.0.1', port: 0 })
  t.teardown(() => attached.shutdown({ deadlineMs: 0, force: true }).catch(() => {}))
  return { attached, port: (attached.address as net.AddressInfo).port }
}

export interface Answer {
  readonly status: number | undefined
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

/** Asks a server by node:http or node:https. */
export function ask(options: https.RequestOptions, body?: string): Promise<Answer> {
  const { request } = options.protocol === 'https:' ? https : http
  const answered = new Promise<Answer>((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', ...options }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => (text += part))
      response.on('end', () => {
        resolve({ status: response.statusCode, headers: response.headers, body: text })
      })
    })
    asked.on('error', reject).end(body)
  })
  return within(answered, 'an answer')
}

/** An agent that keeps connections, and is destroyed with the test. */
export function keepAlive(t: Test, options: https.AgentOptions = {}): https.Agent {
  const agent = new (options.ca === undefined ? http.Agent : https.Agent)({
    keepAlive: true,
    ...options,
  })
  t.teardown(() => agent.destroy())
  return agent as https.Agent
}
