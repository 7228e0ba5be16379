/** A monotonic clock that all threads of a process share; performance.now() starts anew in each. Keeps no state. */

/** Milliseconds from an arbitrary start. */
export const sharedNow = (): number => Number(process.hrtime.bigint()) / 1e6
