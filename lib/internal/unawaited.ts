const noop = (): void => {}

/**
 * Lets a promise that nobody awaits fail without ending the process, as reads and drains do when
 * their connection ends. To be called once its error is made, and it looks at the promise no
 * sooner: the stack of the error leads to the caller only while the caller alone waits.
 */
export function mayBeUnawaited(promise: () => Promise<unknown>): void {
  queueMicrotask(() => void promise().catch(noop))
}
