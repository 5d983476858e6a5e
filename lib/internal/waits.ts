import { Alarm, now, Patience } from './patience.ts'

/** Reads that have waited so far. */
let waited = 0

/** A read that waits. */
interface Waiting {
  /** Goes on; `true` if it has waited for too long. */
  goOn(isLate: boolean): void
}

/** Somebody who waits until output has been taken. */
interface Drain {
  /** Goes on; `true` if it has waited for too long. */
  readonly resolve: (isLate: boolean) => void
  readonly since: number
}

/**
 * What a connection's reads and drains wait for, and for how long. Made when the first one has to
 * wait, or a limit is set.
 */
export class Waits {
  /** Which of all reads that have waited is under way here, waiting or about to go on. */
  since: number = Infinity
  readonly #reading: Patience
  readonly #writing: Patience
  #wanted = 0
  /** When the read began. */
  #readSince = 0
  #read: Waiting | undefined
  #readAlarm: Alarm | undefined
  #drains: Drain[] = []
  #drainAlarm: Alarm | undefined

  constructor(readTimeoutMs: number, writeTimeoutMs: number) {
    this.#reading = new Patience(readTimeoutMs)
    this.#writing = new Patience(writeTimeoutMs)
  }

  get isReading(): boolean {
    return this.since !== Infinity
  }

  /** Milliseconds that sending may take from now on; 0 if as long as it likes. */
  get writeMsLeft(): number {
    return this.#writing.left
  }

  /** A read begins to wait. */
  begin(): void {
    this.since = ++waited
    this.#readSince = now()
  }

  /** It goes on, or has failed. */
  end(): void {
    this.since = Infinity
  }

  /**
   * Resolves when `n` bytes of input may be there, or none will come: with `false`; or with `true`
   * when the read has waited for too long.
   */
  input(n: number): Promise<boolean> {
    return new Promise((goOn) => this.whenInput(n, { goOn }))
  }

  /** The same for who wants it within the event that brings the input. */
  whenInput(n: number, read: Waiting): void {
    this.#wanted = n
    this.#read = read
    this.#watchRead()
  }

  /**
   * Resolves when the driver has told of sent output, or none will be sent; `true` as above, the
   * time being counted from `since`.
   */
  drain(since: number): Promise<boolean> {
    const drain = new Promise<boolean>((resolve) => this.#drains.push({ resolve, since }))
    this.#watchDrains()
    return drain
  }

  /** Input has come; `Infinity` stands for its end. Whether somebody goes on now. */
  inputCame(length: number): boolean {
    const read = this.#read
    if (read === undefined || length < this.#wanted) return false
    this.#read = undefined
    this.#readAlarm?.set(Infinity)
    read.goOn(false)
    return true
  }

  /** Output has been taken, or none will be. Whether somebody goes on now. */
  outputTaken(): boolean {
    const drains = this.#drains
    this.#drains = []
    this.#drainAlarm?.set(Infinity)
    for (const { resolve } of drains) resolve(false)
    return drains.length > 0
  }

  /** Changes how long reads or drains wait, also those that wait now. */
  change(which: 'reading' | 'writing', change: (patience: Patience) => void): void {
    change(which === 'reading' ? this.#reading : this.#writing)
    this.#watchRead()
    this.#watchDrains()
  }

  /** Nothing waits any more. */
  stop(): void {
    this.#readAlarm?.stop()
    this.#drainAlarm?.stop()
  }

  #watchRead(): void {
    if (this.#read === undefined) return
    const until = this.#reading.until(this.#readSince)
    if (until === Infinity && this.#readAlarm === undefined) return
    this.#readAlarm ??= new Alarm(() => this.#readIsLate())
    this.#readAlarm.set(until)
  }

  #watchDrains(): void {
    if (this.#drains.length === 0) return
    const until = Math.min(...this.#drains.map(({ since }) => this.#writing.until(since)))
    if (until === Infinity && this.#drainAlarm === undefined) return
    this.#drainAlarm ??= new Alarm(() => this.#drainsAreLate())
    this.#drainAlarm.set(until)
  }

  #readIsLate(): void {
    const read = this.#read
    // What came while JavaScript was busy has come in time: it is dispatched before this.
    setImmediate(() => {
      if (read === undefined || read !== this.#read) return
      this.#read = undefined
      read.goOn(true)
    })
  }

  #drainsAreLate(): void {
    const time = now()
    // As with a read.
    setImmediate(() => {
      const isLate = ({ since }: Drain): boolean => this.#writing.until(since) <= time
      const late = this.#drains.filter(isLate)
      this.#drains = this.#drains.filter((drain) => !isLate(drain))
      for (const { resolve } of late) resolve(true)
      this.#watchDrains()
    })
  }
}
