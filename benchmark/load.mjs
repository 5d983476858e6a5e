// A load in the notation of the command line: [KIND:]CONNECTIONSxSIZE[xDEPTH][+IDLE], as in
// 16x64Bx32 or rpc:100x1KiB+4000.
import { PlainError } from '../scripts/requirements.mjs'

const units = { B: 1, KiB: 1024, MiB: 1024 * 1024 }
const COUNT = '([1-9]\\d{0,5})'
const SIZE = '([1-9]\\d{0,8})(B|KiB|MiB)'
const pattern = new RegExp(`^(?:(short|rpc|idle):)?${COUNT}x${SIZE}(?:x${COUNT})?(?:\\+${COUNT})?$`)

/** What a KIND makes of the load: what connections do, and whether what they send has frames. */
const kinds = {
  echo: { mode: 'echo', protocol: 'echo' },
  short: { mode: 'short', protocol: 'echo' },
  rpc: { mode: 'echo', protocol: 'rpc' },
  idle: { mode: 'idle', protocol: 'echo' },
}

/**
 * `connections` with `depth` requests of `size` bytes in flight on each, and `idle` silent ones
 * beside them.
 */
export function parseLoad(name) {
  const match = pattern.exec(name)
  if (match === null) {
    throw new PlainError(
      `'${name}' is not a load: [short:|rpc:|idle:]CONNECTIONSxSIZE[xDEPTH][+IDLE], ` +
        'such as 100x1KiB, 16x64Bx32 or rpc:100x1KiB+4000',
    )
  }
  const [, kind = 'echo', connections, size, unit, depth = '1', idle = '0'] = match
  return {
    name,
    ...kinds[kind],
    connections: Number(connections),
    size: Number(size) * units[unit],
    depth: Number(depth),
    idle: Number(idle),
  }
}

/** A number of bytes in the largest unit that leaves a whole number. */
export function formatSize(bytes) {
  const unit = bytes % units.MiB === 0 ? 'MiB' : bytes % units.KiB === 0 ? 'KiB' : 'B'
  return `${bytes / units[unit]} ${unit}`
}
