/** The node of a segment that lies in memory of its own, not in the arena. */
export const NO_NODE = -1

/**
 * A range of a node of the arena, on which JavaScript holds one lease of its own, or, without a
 * node, a range of memory that belongs to nobody else.
 *
 * Segments are the links of a chain, and move from chain to chain with their lease.
 *
 * ```text
 *  chunk  ┌──────────────────┬─────────────┬─────────────────────┐
 *         │ others'          │ consumed    │ unread              │ others'
 *         └──────────────────┴─────────────┴─────────────────────┘
 *                            start         at                    end
 * ```
 */
export class Segment {
  node: number
  chunk: Buffer
  start: number
  at: number
  end: number
  next: Segment | undefined

  constructor(node: number, chunk: Buffer, start: number, end: number) {
    this.node = node
    this.chunk = chunk
    this.start = start
    this.at = start
    this.end = end
    this.next = undefined
  }
}
