// Progress on stderr: one line that is rewritten on a terminal, a line a phase elsewhere.

const isTerminal = process.stderr.isTTY === true

export function showPhase(label) {
  process.stderr.write(isTerminal ? `\r\x1b[K${label} …` : `${label}\n`)
}

export function showRate(label, requestsPerSecond) {
  if (!isTerminal) return
  process.stderr.write(`\r\x1b[K${label} … ${requestsPerSecond.toLocaleString('en-US')} requests/s`)
}

export function clearProgress() {
  if (isTerminal) process.stderr.write('\r\x1b[K')
}
