/**
 * Standard error for lines of the log: written before the call returns where there is room, so that the last line before a
 * crash is there; what a slow reader has no room for waits, in order, and holds nobody up.
 *
 * State: what waits, bounded, and while something does a timer and a listener for the end of the process, which writes it
 * for up to LAST_MS. A line for which there is no room is refused by throwing: the log counts those.
 */
import { writeSync } from 'node:fs'
import { systemCode } from '../../platform/private-file.ts'

export const MAX_WAITING_BYTES = 1 << 20
const RETRY_MS = 20
const LAST_MS = 500
const PAUSE_MS = 5

/** @param write takes bytes and returns how many it took; 0 or EAGAIN where there is no room now */
export const createStderrWriter = (write: (bytes: Uint8Array) => number = toStderr()): ((line: string) => void) => {
  const waiting: Uint8Array[] = []
  let waitingBytes = 0
  let timer: NodeJS.Timeout | undefined

  const take = (bytes: Uint8Array): number => {
    try {
      return write(bytes)
    } catch (error) {
      if (systemCode(error) === 'EAGAIN') return 0
      throw error
    }
  }

  const settle = (): void => {
    clearInterval(timer)
    timer = undefined
    process.removeListener('exit', last)
  }

  const drain = (): void => {
    try {
      for (let [head] = waiting; head !== undefined; [head] = waiting) {
        const taken = take(head)
        waitingBytes -= taken
        if (taken < head.length) {
          waiting[0] = head.subarray(taken)
          return
        }
        waiting.shift()
      }
    } catch {
      // Nobody reads any more, and nobody could be told.
      waiting.length = 0
      waitingBytes = 0
    }
    settle()
  }

  const last = (): void => {
    const endsAt = performance.now() + LAST_MS
    const clock = new Int32Array(new SharedArrayBuffer(4))
    for (drain(); waiting.length > 0 && performance.now() < endsAt; drain()) Atomics.wait(clock, 0, 0, PAUSE_MS)
  }

  return (line) => {
    const bytes = Buffer.from(line)
    const taken = waiting.length === 0 ? take(bytes) : 0
    if (taken === bytes.length) return
    if (taken === 0 && waitingBytes + bytes.length > MAX_WAITING_BYTES)
      throw new Error(`${waitingBytes} bytes wait for the reader of standard error already`)
    waiting.push(bytes.subarray(taken))
    waitingBytes += bytes.length - taken
    if (timer !== undefined) return
    timer = setInterval(drain, RETRY_MS).unref()
    process.once('exit', last)
  }
}

const toStderr = (): ((bytes: Uint8Array) => number) => {
  // With its first use Node makes a pipe one that says that it is full, in place of one that waits.
  void process.stderr
  return (bytes) => writeSync(2, bytes)
}
