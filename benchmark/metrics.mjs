// What is told of a measurement, by the key it has there: how a table heads it, how a chart is
// called, and which way is better. A ratio to the baseline is told for what two servers are
// compared by.

export const metrics = {
  rps: {
    label: 'requests/s',
    title: 'Requests per second',
    better: 'more',
    digits: 0,
    hasRatio: true,
  },
  mb_per_s: {
    label: 'MB/s each way',
    title: 'Megabytes per second, each way',
    better: 'more',
    digits: 0,
    hasRatio: true,
  },
  processCpuUs: {
    label: 'CPU, µs/request',
    title: 'CPU time per request, µs',
    better: 'less',
    digits: 2,
    hasRatio: true,
  },
  mainCpuUs: {
    label: 'its JavaScript thread, µs/request',
    title: 'CPU time of the JavaScript thread, µs',
    better: 'less',
    digits: 2,
  },
  p50us: { label: 'p50, µs', title: 'Median latency, µs', better: 'less', digits: 0 },
  p99us: { label: 'p99, µs', title: 'p99 latency, µs', better: 'less', digits: 0 },
  p999us: {
    label: 'p99.9, µs',
    title: 'p99.9 latency, µs',
    better: 'less',
    digits: 0,
  },
  memoryMiB: { label: 'memory, MiB', title: 'Resident memory, MiB', better: 'less', digits: 0 },
  bytesPerConnection: {
    label: 'bytes/connection',
    title: 'Resident bytes per idle connection',
    better: 'less',
    digits: 0,
    hasRatio: true,
  },
  delayP50Ms: { label: 'delay p50, ms', title: 'Median delay, ms', better: 'less', digits: 2 },
  delayP99Ms: {
    label: 'delay p99, ms',
    title: 'p99 of the delay, ms',
    better: 'less',
    digits: 2,
    hasRatio: true,
  },
  delayMaxMs: { label: 'delay max, ms', title: 'Longest delay, ms', better: 'less', digits: 1 },
}

/** `1,234.5`, with so many digits behind the point. */
export function formatNumber(value, digits) {
  return value.toLocaleString('en-US', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  })
}

/** `median (min–max)`, the spread only where there is one, `-` where there is nothing. */
export function formatSpread(spread, digits) {
  if (spread?.median === undefined) return '-'
  const { median, min, max } = spread
  const [middle, least, most] = [median, min, max].map((value) => formatNumber(value, digits))
  return least === most ? middle : `${middle} (${least}–${most})`
}
