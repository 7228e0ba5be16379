/** How a row store is opened, and what it counts. */
import type { ParleyError } from '../../../protocols/errors.ts'
import type { Log, Port } from '../../../protocols/port.ts'
import type { RowManifest } from './row-manifest.ts'

/** Has long work step aside. */
export interface Pace {
  /** It has worked long enough for now. */
  isDue(): boolean
  /** Resolves when it may go on. */
  rest(): Promise<void>
}

export interface RowEngineOptions extends Pick<Port, 'random'> {
  readonly log: Pick<Log, 'warn'>
  /** Without them nothing is sealed before it is closed, and what failed is tried again by the next one only. */
  readonly timers?: Pick<Port['timers'], 'after'>
  readonly pace?: Pace
  /** Rows in memory, bytes. */
  readonly memoryBytes?: number
  /** The log that opening reads at most, about, bytes. */
  readonly logBytes?: number
  readonly tableBytes?: number
  readonly cacheBytes?: number
  /** Zeros behind the log, bytes. */
  readonly roomBytes?: number
  /** It has forgotten something: from now on it has another id. */
  readonly isRenewed?: boolean
  /** Of a new store; one of its own unless told. */
  readonly identity?: Pick<RowManifest, 'id' | 'formerIds'>
  /** Told of damage that is found while tables are merged. */
  readonly onDamage?: (error: ParleyError) => void
}

export const DEFAULT_BYTES = {
  memoryBytes: 8 * 1024 * 1024,
  logBytes: 32 * 1024 * 1024,
  tableBytes: 32 * 1024 * 1024,
  cacheBytes: 4 * 1024 * 1024,
  roomBytes: 512 * 1024,
}

/** With all that has a default. */
export type ChosenOptions = RowEngineOptions & typeof DEFAULT_BYTES & { readonly pace: Pace }

export interface RowEngineCounts {
  readonly groups: number
  readonly memoryRows: number
  readonly memoryBytes: number
  readonly logBytes: number
  readonly tables: number
  readonly runs: number
  readonly flushes: number
  readonly merges: number
  /** Times that a table could not be written; it is tried again. */
  readonly failed: number
  /** Files that are needed no more and could not be removed. */
  readonly kept: number
  readonly syncs: number
}

/** Whoever waits for the loop meets a slice in each of its turns: short ones cost little, and others get turns between them. */
const SLICE_MS = 0.3
const REST_TURNS = 3

/** @param now milliseconds; the clock of this process unless told */
export const createPace = (now: () => number = () => performance.now()): Pace => {
  let began = now()
  let asked = 0
  return {
    // The clock costs as much as a row.
    isDue: () => (asked++ & 15) === 0 && now() - began > SLICE_MS,
    async rest() {
      for (let turn = 0; turn < REST_TURNS; turn += 1) await new Promise((resolve) => setImmediate(resolve))
      began = now()
    },
  }
}
