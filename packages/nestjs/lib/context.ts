import { BaseRpcContext } from '@nestjs/microservices'
import type { Connection } from 'nodepoll'

/**
 * What a handler gets to know of its call, with `@Ctx()`.
 *
 * @example
 * ```ts
 * import { Controller } from '@nestjs/common'
 * import { Ctx, MessagePattern } from '@nestjs/microservices'
 * import { NodepollContext } from '@nodepoll/nestjs'
 *
 * @Controller()
 * export class WhoController {
 *   @MessagePattern('who')
 *   who(@Ctx() context: NodepollContext) {
 *     return context.getConnection().remoteAddress
 *   }
 * }
 * ```
 */
export class NodepollContext extends BaseRpcContext<[Connection, string]> {
  /** The connection of the caller. Its `signal` is aborted when the caller has gone. */
  getConnection(): Connection {
    return this.args[0]
  }

  /** The pattern of the message, as text. */
  getPattern(): string {
    return this.args[1]
  }
}
