// One conversation, as both of its sides see it: its plan and its bytes follow from its seed.
import { kinds } from './kinds.mjs'
import { Random } from './random.mjs'
import { Stream } from './stream.mjs'

const REPLY = 0x5bd1e995

export class Session {
  id
  seed
  kind
  plan
  /** For choices of this side alone. */
  random
  /** What the client sends, as far as it was sent here or has come here. */
  request
  /** What the server sends of its own, likewise. */
  reply
  /** What the kind keeps for itself on this side. */
  state = {}

  constructor({ kind, id, seed }, side) {
    this.id = id
    this.seed = seed
    this.kind = kinds[kind]
    this.plan = this.kind.plan(new Random(seed))
    this.random = new Random(seed ^ id)
    this.request = this.requestFrom(0, side)
    this.reply = new Stream((seed ^ REPLY) >>> 0, `the reply to ${this.name} (${side})`)
  }

  get name() {
    return `client ${this.id} (${this.kind.name}, seed ${this.seed})`
  }

  /** The client's bytes from a position on, to be compared once more or when they come back. */
  requestFrom(position, side) {
    return new Stream(this.seed, `the bytes of ${this.name} (${side})`, position)
  }
}
