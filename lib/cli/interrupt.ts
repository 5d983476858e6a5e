/** Calls `stop` at the first signal to end. A second one ends the process as if there were none. */
export function onInterrupt(stop: (signal: NodeJS.Signals) => void): Disposable {
  const signals: NodeJS.Signals[] = ['SIGINT', 'SIGTERM']
  const first = (signal: NodeJS.Signals): void => {
    forget()
    stop(signal)
  }
  const forget = (): void => {
    for (const signal of signals) process.removeListener(signal, first)
  }
  for (const signal of signals) process.on(signal, first)
  return { [Symbol.dispose]: forget }
}
