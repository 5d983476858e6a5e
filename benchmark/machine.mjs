// No number without its machine.
import os from 'node:os'

export function describeMachine() {
  const model = os.cpus()[0]?.model.trim() ?? 'unknown CPU'
  const system = `${os.type()} ${os.release()}`
  return `Node ${process.versions.node}, ${system}, ${os.availableParallelism()} × ${model}`
}
