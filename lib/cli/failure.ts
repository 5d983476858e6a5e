import type * as nodepoll from '../index.ts'

/** What went wrong, for people, without a stack: exit code 1. */
export class Failure extends Error {}

/** The package itself, which does not load where the native library is missing. */
export async function loadNodepoll(): Promise<typeof nodepoll> {
  try {
    return await import('../index.ts')
  } catch (error) {
    const hint = 'Run `nodepoll doctor` to see what else there is to this machine.'
    throw new Failure(`${(error as Error).message}\n${hint}`, { cause: error })
  }
}

/** Waits for a call whose failure is nobody's bug: the operating system has refused. */
export async function orFail<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise
  } catch (error) {
    if (error instanceof Error && 'syscall' in error) throw new Failure(error.message)
    throw error
  }
}
