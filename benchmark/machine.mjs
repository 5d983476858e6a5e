// No number without its machine.
import os from 'node:os'

export function machineFacts() {
  return {
    cpu: os.cpus()[0]?.model.trim() ?? 'unknown CPU',
    cores: os.availableParallelism(),
    memoryGiB: Math.round(os.totalmem() / 1024 ** 3),
    system: `${os.type()} ${os.release()}`,
    node: process.versions.node,
  }
}

export function describeMachine({ cpu, cores, system, node } = machineFacts()) {
  return `Node ${node}, ${system}, ${cores} × ${cpu}`
}
