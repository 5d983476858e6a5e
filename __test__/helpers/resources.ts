import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

const NANOSECONDS_PER_MS = 1e6

/** What each thread of a process has used so far, by the thread's number. Needs /proc. */
export function cpuMsByThread(pid: number): Map<string, { name: string; ms: number }> {
  const folder = `/proc/${pid}/task`
  return new Map(
    readdirSync(folder).map((thread) => {
      const name = readFileSync(`${folder}/${thread}/comm`, 'utf8').trim()
      const [nanoseconds] = readFileSync(`${folder}/${thread}/schedstat`, 'utf8').split(' ')
      return [thread, { name, ms: Number(nanoseconds) / NANOSECONDS_PER_MS }]
    }),
  )
}

/** Memory of a process that is there, not only promised. Needs /proc. */
export function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
}

/** How many descriptors a process may give itself. */
export function descriptorsMax(): number {
  const limit = execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).trim()
  return limit === 'unlimited' ? Infinity : Number(limit)
}
