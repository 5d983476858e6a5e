// A load in the notation of the command line: [short:]CONNECTIONSxSIZE[xDEPTH], as in 16x64Bx32.
import { PlainError } from '../scripts/requirements.mjs'

const units = { B: 1, KiB: 1024, MiB: 1024 * 1024 }
const pattern = /^(?:(short):)?([1-9]\d{0,5})x([1-9]\d{0,8})(B|KiB|MiB)(?:x([1-9]\d{0,5}))?$/

/** The loads that claims are made on. */
export const defaultLoads = [
  '100x1KiB',
  '1x64B',
  '16x64Bx32',
  '1000x1KiB',
  '4x1MiB',
  'short:100x1KiB',
]

export function parseLoad(name) {
  const match = pattern.exec(name)
  if (match === null) {
    throw new PlainError(
      `'${name}' is not a load: [short:]CONNECTIONSxSIZE[xDEPTH], such as 100x1KiB or 16x64Bx32`,
    )
  }
  const [, mode = 'echo', connections, size, unit, depth = '1'] = match
  return {
    name,
    mode,
    connections: Number(connections),
    size: Number(size) * units[unit],
    depth: Number(depth),
  }
}

/** A number of bytes in the largest unit that leaves a whole number. */
export function formatSize(bytes) {
  const unit = bytes % units.MiB === 0 ? 'MiB' : bytes % units.KiB === 0 ? 'KiB' : 'B'
  return `${bytes / units[unit]} ${unit}`
}
