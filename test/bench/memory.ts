/** How much memory this process takes, before and after all garbage is gone. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const MIB = 1024 * 1024

export interface Memory {
  /** What the system has given to this process, as it stands. */
  readonly rssMib: number
  /** The same after a full collection. */
  readonly collectedRssMib: number
  /** What is alive: the heap and the buffers outside it, after a full collection. */
  readonly aliveMib: number
}

/** Collects by V8's own function, which needs a flag that can be set at any time. */
const collect = (): void => {
  setFlagsFromString('--expose-gc')
  const gc: unknown = runInNewContext('gc')
  if (typeof gc !== 'function') throw new Error('this Node cannot collect on demand')
  gc()
}

export const readMemory = (): Memory => {
  const rssMib = process.memoryUsage.rss() / MIB
  // What the first collection finalizes, the second one frees.
  collect()
  collect()
  const { rss, heapUsed, external } = process.memoryUsage()
  return { rssMib, collectedRssMib: rss / MIB, aliveMib: (heapUsed + external) / MIB }
}
