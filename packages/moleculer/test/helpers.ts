import { type BrokerOptions, ServiceBroker, type ServiceSchema } from 'moleculer'
import { NodepollTransporter, type NodepollTransporterOptions } from '@nodepoll/moleculer'
import type { ExecutionContext } from 'ava'
import type { InetAddress } from 'nodepoll'

import { within } from '../../testing/waiting.ts'

export interface Node {
  readonly broker: ServiceBroker
  readonly transporter: NodepollTransporter
  /** What the transporter has reported. */
  readonly errors: { code?: string; message: string }[]
}

/** Starts a node, which listens unless `options` say otherwise. */
export async function startNode(
  t: ExecutionContext,
  nodeID: string,
  options: NodepollTransporterOptions = {},
  services: ServiceSchema[] = [],
  brokerOptions: BrokerOptions = {},
): Promise<Node> {
  const listen = { host: '127.0.0.1', port: 0 }
  const transporter = new NodepollTransporter({ listen, retryDelayMs: 5, ...options })
  const errors: Node['errors'] = []
  const broker = new ServiceBroker({
    nodeID,
    transporter,
    logger: false,
    skipProcessEventRegistration: true,
    ...brokerOptions,
  })
  broker.localBus.on('$transporter.error', ({ error }: { error: Node['errors'][number] }) => {
    errors.push(error)
  })
  for (const service of services) broker.createService(service)
  t.teardown(() => broker.stop())
  await within(broker.start(), `the start of ${nodeID}`)
  return { broker, transporter, errors }
}

export function portOf({ transporter }: Node): number {
  return (transporter.address as InetAddress).port
}
