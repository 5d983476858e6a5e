import { type Connection, NodepollError, type OnRequest } from 'nodepoll'

import { httpPeer, malformed } from './errors.ts'
import { LENGTH_DIGITS_MAX, WAIT_MIN } from './limits.ts'
import { type OnMessage, parseMessage, speaksHttp, type Wire } from './message.ts'

const HEADER_MAX = LENGTH_DIGITS_MAX + 1
const HEADER = new RegExp(`^(\\d{1,${LENGTH_DIGITS_MAX}})#`)
const PART_OF_HEADER = new RegExp(`^\\d{0,${LENGTH_DIGITS_MAX}}$`)

/** How much of an incomplete text has been looked at: bytes, and the UTF-16 units they are. */
interface Seen {
  bytes: number
  units: number
}

/**
 * What Nest's own TCP transport speaks: the length in decimal digits, `#`, and JSON. The length
 * counts UTF-16 units, as `String.length` does, while UTF-8 is sent: how many bytes a message has
 * is known once they have been looked at.
 */
export function tcpWire(unitsMax: number): Wire {
  /** Of connections with an incomplete message, so that no byte is looked at twice. */
  const progress = new WeakMap<Connection, Seen>()

  /** The next text, or how many bytes must be there before it is worthwhile to try again. */
  function take(connection: Connection): string | number {
    const { input } = connection
    const start = input.peek(Math.min(input.length, HEADER_MAX)).toString('latin1')
    const [header, digits] = HEADER.exec(start) ?? []
    if (header === undefined) {
      if (PART_OF_HEADER.test(start)) return input.length + 1
      throw speaksHttp(input) ? httpPeer() : malformed('a message begins without its length')
    }
    const units = Number(digits)
    if (units > unitsMax) {
      const what = `a message of ${units} UTF-16 units is over the limit of ${unitsMax}`
      throw new NodepollError('ERR_NODEPOLL_FRAME_LIMIT', what)
    }
    const seen = progress.get(connection) ?? { bytes: 0, units: 0 }
    const from = header.length + seen.bytes
    // No character has more than three bytes for each unit; one more, for one that is too long.
    const bytes = Math.min(input.length - from, 3 * (units - seen.units) + 1)
    if (bytes > 0) look(input.peek(bytes, from), units, seen)
    if (seen.units < units) {
      progress.set(connection, seen)
      return Math.max(header.length + seen.bytes + units - seen.units, input.length + 1)
    }
    if (seen.units > units) throw malformed('a message ends within a character')
    progress.delete(connection)
    input.skip(header.length)
    return input.readString(seen.bytes)
  }

  return {
    protocol: 'tcp',
    onMessage<C>(handler: OnMessage<C>): OnRequest<C> {
      return (connection, context) => {
        while (connection.input.length > 0) {
          const text = take(connection)
          if (typeof text === 'number') {
            // What exceeds the limit of the input comes only if somebody waits for it.
            return text > WAIT_MIN ? connection.reader.wait(text) : undefined
          }
          const pending = handler(parseMessage(text), connection, context)
          // When it has settled this is called again for what is left.
          if (pending !== undefined) return pending
        }
        return undefined
      }
    },
    write: (writer, text) => void writer.writeString(`${text.length}#${text}`),
  }
}

/** Goes on until the text has so many units, or no whole character is left. */
function look(view: Buffer, units: number, seen: Seen): void {
  let at = 0
  while (at < view.length && seen.units < units) {
    const lead = view[at] as number
    const width = widthOf(lead)
    if (at + width > view.length) break
    at += width
    seen.units += width === 4 ? 2 : 1
  }
  seen.bytes += at
}

/** Bytes of the character that begins with this one. */
function widthOf(lead: number): number {
  if (lead < 0x80) return 1
  if (lead < 0xc2 || lead > 0xf4) throw malformed('a message is no UTF-8')
  if (lead < 0xe0) return 2
  return lead < 0xf0 ? 3 : 4
}
