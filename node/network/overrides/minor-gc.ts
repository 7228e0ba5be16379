/**
 * Gives back buffers that died young before they make the engine collect everything.
 *
 * What sockets and ciphers hand out lives outside the heap and is garbage a moment later. V8 counts it, and each 64 MiB or
 * so of it bring about a full collection, 5 to 15 ms long, many times a second at hundreds of megabytes; a collection of
 * the young generation would free it in 1 or 2 ms, but V8 starts one for objects of its own heap only, and bulk traffic
 * makes few of those. So one is asked for each `BYTES` that pass in large
 * pieces. Small ones come with objects enough that the engine collects by itself, and more often would only make it keep
 * what is about to die.
 * Measured with a bulk stream and lone calls beside it, in one run: 170 MB/s and a p99 of 15 ms without, 420 and 2 with.
 * A process has the function where it was started with --expose-gc; in others V8's flags are touched only where a node was
 * told to (option `minorGc`).
 * State, for the process: bytes since the last one, when the next may be, and whether the flags may be touched. Guarantee:
 * what it takes is at most a `SHARE`th of the time around it, however large the young generation of the program is that the
 * node lives in.
 */
import { type Collect, findCollect } from '../../platform/engine-gc.ts'

const BYTES = 8 << 20
const LARGE_BYTES = 32 << 10
const SHARE = 6

export interface MinorGc {
  /** A piece of so many bytes went into a new buffer. */
  allocated(bytes: number): void
  /** From here on V8's flags may be touched, once and for a moment. */
  enable(): void
}

export const createMinorGc = (
  now: () => number,
  find: (mayTouchFlags: boolean) => Collect | undefined = findCollect,
): MinorGc => {
  let collect: Collect | undefined
  let looked = false
  let isEnabled = false
  let bytes = 0
  let notBefore = 0

  const run = (): void => {
    const startedAt = now()
    if (startedAt < notBefore) return
    bytes = 0
    if (!looked) collect = find(isEnabled)
    looked = true
    if (collect === undefined) return
    collect({ type: 'minor' })
    const endedAt = now()
    notBefore = endedAt + (endedAt - startedAt) * SHARE
  }

  return {
    allocated(more) {
      if (more < LARGE_BYTES) return
      bytes += more
      if (bytes >= BYTES) run()
    },
    enable() {
      if (isEnabled) return
      isEnabled = true
      looked = false
    },
  }
}

/** One for the process: the young generation is one for all its nodes. */
export const minorGc = createMinorGc(() => performance.now())
