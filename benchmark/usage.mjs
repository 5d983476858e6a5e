// What a process has used, and what the machine took from all: as Linux tells it in /proc.
import { readdirSync, readFileSync } from 'node:fs'

/**
 * CPU time by the scheduler's own count, which neighbours are not in: of all threads, and of the
 * first one alone, which runs the JavaScript of a server that has some. Memory is what is resident.
 * `undefined` where there is no /proc.
 */
export function readUsage(pid) {
  try {
    return { ...readCpu(pid), memoryBytes: readMemory(pid), machine: readMachine() }
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ESRCH') return undefined
    throw error
  }
}

/** How much of the machine's time between two usages others had who share its hardware, 0 to 1. */
export function stealShare(before, after) {
  const total = after.machine.total - before.machine.total
  return total === 0 ? 0 : (after.machine.steal - before.machine.steal) / total
}

function readCpu(pid) {
  const cpu = { mainNs: 0, processNs: 0 }
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const ns = readThread(pid, thread)
    cpu.processNs += ns
    if (thread === String(pid)) cpu.mainNs += ns
  }
  return cpu
}

function readThread(pid, thread) {
  try {
    return Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0])
  } catch (error) {
    // It has ended since it was listed.
    if (error.code === 'ENOENT' || error.code === 'ESRCH') return 0
    throw error
  }
}

function readMemory(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  // A process that has ended has none, until its parent has heard of it.
  const [, kilobytes = 0] = /^VmRSS:\s*(\d+) kB$/m.exec(status) ?? []
  return Number(kilobytes) * 1024
}

/** Ticks of all cores since the machine was started. */
function readMachine() {
  const [line] = readFileSync('/proc/stat', 'utf8').split('\n', 1)
  const [user, nice, system, idle, wait, irq, softIrq, steal] = line
    .split(/ +/)
    .slice(1)
    .map(Number)
  return { steal, total: user + nice + system + idle + wait + irq + softIrq + steal }
}
