import type { Connection } from 'nodepoll'

import type { NodeAddress } from './options.ts'
import type { Hello } from './protocol.ts'

/** A connection to another node, whoever began it. */
export class Link {
  readonly connection: Connection
  /** Whom we have dialled; nobody for a connection that was accepted. */
  readonly dialled: NodeAddress | undefined
  /** Who is at the other end, once it has said so. */
  hello: Hello | undefined

  constructor(connection: Connection, dialled?: NodeAddress) {
    this.connection = connection
    this.dialled = dialled
  }
}

/** The connections over which nodes can be reached. */
export class Routes {
  readonly #links: Map<string, Set<Link>> = new Map()

  /** The nodes that can be reached. */
  get nodeIDs(): string[] {
    return [...this.#links.keys()]
  }

  of(nodeID: string): readonly Link[] {
    return [...(this.#links.get(nodeID) ?? [])]
  }

  /** Over which to send: the connection that we have dialled, if there is one. */
  to(nodeID: string): Link | undefined {
    let accepted: Link | undefined
    for (const link of this.#links.get(nodeID) ?? []) {
      if (!link.connection.isActive) continue
      if (link.dialled !== undefined) return link
      accepted ??= link
    }
    return accepted
  }

  /** Whether it is the first one to its node. */
  add(nodeID: string, link: Link): boolean {
    const links = this.#links.get(nodeID)
    if (links === undefined) this.#links.set(nodeID, new Set([link]))
    else links.add(link)
    return links === undefined
  }

  /** Whether it was one of them. */
  delete(nodeID: string, link: Link): boolean {
    const links = this.#links.get(nodeID)
    if (links?.delete(link) !== true) return false
    if (links.size === 0) this.#links.delete(nodeID)
    return true
  }
}
