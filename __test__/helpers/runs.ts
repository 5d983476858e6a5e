/**
 * How often processes and environments are ended in mid-traffic, in each way and order. A thorough
 * run does it 100 times: `NODEPOLL_TEARDOWNS=100 npx ava __test__/process-exit.spec.ts`.
 */
export const TEARDOWNS: number = numberOf('NODEPOLL_TEARDOWNS', 10)

/** Time for so many of them, each of which may take that long on a machine with much else to do. */
export function timeFor(teardowns: number, msEach: number): number {
  return 20_000 + teardowns * msEach
}

function numberOf(name: string, usual: number): number {
  const text = process.env[name]
  if (text === undefined) return usual
  const value = Number(text)
  if (Number.isSafeInteger(value) && value > 0) return value
  throw new RangeError(`${name} is a number of times, not '${text}'`)
}
