/**
 * The stores of a node as runs on the virtual disk see them: each does the same steps every time, says what was answered, and
 * tells what it holds when it is opened again. Keeps no state.
 */
import { openHistoryLog } from '../../../node/store/events/history-log.ts'
import { createFenceStore } from '../../../node/store/fences/fence-store.ts'
import type { Disk } from '../../../node/store/files/disk.ts'
import { SnapshotStore } from '../../../node/store/journal/snapshot-store.ts'
import { storeError } from '../../../node/store/log/log-segments.ts'
import { openLogStore } from '../../../node/store/log/log-store.ts'
import { RowEngine } from '../../../node/store/rows/row-engine.ts'
import { createRandom } from '../../../node/testing/virtual/virtual-time.ts'
import type { SnapshotMeta } from '../../../protocols/consensus/raft/raft-messages.ts'
import { OPEN_END } from '../../../protocols/events/series.ts'
import { createFenceGuard } from '../../../protocols/journal/fencing/fence-guard.ts'

export interface KeptStore {
  readonly name: string
  readonly steps: number
  /** What was not synced may be lost with the power; what is damaged is told all the same. */
  readonly isBestEffort: boolean
  /** @param answered told once a step is durable @throws what the disk says */
  run(disk: Disk, answered: (step: number) => void): Promise<void>
  /**
   * What it holds.
   * @param answered steps that were
   * @throws STA003 with `details.reason` `damaged`; any other error where what it has was never written
   */
  read(disk: Disk, answered: number): Promise<string>
  /** What it holds after so many steps. */
  state(step: number): string
}

const SEED = 7
const randomOf = (seed: number) => {
  const next = createRandom(seed)
  return (bytes: number): Uint8Array => Uint8Array.from({ length: bytes }, () => Math.floor(next() * 256))
}
const quiet = { error() {}, warn() {}, info() {} }
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** The same changes at each step: some keys are put, some go. */
const changesAt = (step: number): { key: string; value: Uint8Array | undefined }[] => {
  const next = createRandom(SEED + step)
  const changes = new Map<string, Uint8Array | undefined>()
  for (let i = 0; i < 3; i += 1) {
    const key = `k/${Math.floor(next() * 40)}`
    changes.set(key, next() < 0.3 ? undefined : bytes(`${step}.${i}`.padEnd(20, '.')))
  }
  return [...changes].map(([key, value]) => ({ key, value }))
}

const shown = (rows: Iterable<readonly [string, string]>): string => JSON.stringify([...rows].sort())

const rowsAfter = (step: number): string => {
  const rows = new Map<string, string>()
  for (let i = 1; i <= step; i += 1)
    for (const { key, value } of changesAt(i))
      if (value === undefined) rows.delete(key)
      else rows.set(key, new TextDecoder().decode(value))
  return shown(rows)
}

const smallRows = (seed: number) => ({
  random: randomOf(seed),
  log: quiet,
  memoryBytes: 1_500,
  logBytes: 4_000,
  tableBytes: 2_000,
  roomBytes: 512,
})

const rows: KeptStore = {
  name: 'rows',
  steps: 90,
  isBestEffort: false,
  async run(disk, answered) {
    const engine = await RowEngine.open(disk, smallRows(1))
    try {
      for (let step = 1; step <= this.steps; step += 1) {
        await engine.write(new Map(changesAt(step).map(({ key, value }) => [key, value])))
        answered(step)
        // Tables are written and merged meanwhile.
        if (step % 4 === 0) await turn()
      }
    } finally {
      await engine.close()
    }
  },
  async read(disk) {
    const engine = await RowEngine.open(disk, smallRows(2))
    try {
      const found: [string, string][] = []
      for await (const { key, value } of engine.rows({ prefix: '' })) found.push([key, new TextDecoder().decode(value)])
      return shown(found)
    } finally {
      await engine.close()
    }
  },
  state: rowsAfter,
}

const VOTERS = { voters: ['a', 'b', 'c'], learners: [] }
const SNAPSHOT_EVERY = 10
const termAt = (index: number): number => 1 + Math.floor(index / 17)
const baseAt = (step: number): number => Math.max(0, Math.floor(step / SNAPSHOT_EVERY) * SNAPSHOT_EVERY - 5)
const entryAt = (index: number) => ({
  index,
  term: termAt(index),
  kind: 'command' as const,
  data: new Uint8Array(30).fill(index % 251),
})

const logged = (step: number): string => {
  const base = baseAt(step)
  const entries = Array.from({ length: step - base }, (_, i) => entryAt(base + 1 + i))
  const hard = step === 0 ? { term: 0, commit: 0 } : { term: termAt(step), votedFor: 'a', commit: step }
  return JSON.stringify([hard, base, entries.map(({ index, term, data }) => [index, term, ...data])])
}

const journalLog: KeptStore = {
  name: 'log of the journal',
  steps: 80,
  isBestEffort: false,
  async run(disk, answered) {
    const log = await openLogStore(disk, { random: randomOf(1), segmentBytes: 700, roomBytes: 256 })
    try {
      for (let step = 1; step <= this.steps; step += 1) {
        const index = baseAt(step)
        const base =
          index === baseAt(step - 1)
            ? undefined
            : { meta: { index, term: termAt(index), configuration: VOTERS }, keeps: true }
        await log.write({
          hardState: { term: termAt(step), votedFor: 'a', commit: step },
          ...(base && { base }),
          entries: [entryAt(step)],
        })
        answered(step)
      }
    } finally {
      await log.close()
    }
  },
  async read(disk) {
    const log = await openLogStore(disk, { random: randomOf(2), segmentBytes: 700, roomBytes: 256 })
    try {
      const { hardState, snapshot, entries } = log.opened
      const { term, votedFor, commit } = hardState
      const hard = { term, ...(votedFor === undefined ? {} : { votedFor }), commit }
      return JSON.stringify([hard, snapshot?.index ?? 0, entries.map((one) => [one.index, one.term, ...one.data])])
    } finally {
      await log.close()
    }
  },
  state: logged,
}

const snapshotAt = (index: number): SnapshotMeta => ({ index, term: 1, configuration: VOTERS })

const snapshots: KeptStore = {
  name: 'snapshots',
  steps: 25,
  isBestEffort: false,
  async run(disk, answered) {
    const store = await SnapshotStore.open(disk, { random: randomOf(1) }, undefined)
    try {
      for (let step = 1; step <= this.steps; step += 1) {
        await store.save(snapshotAt(step), changesAt(step), step === 1 ? undefined : snapshotAt(step - 1))
        answered(step)
        await store.keepOnly([snapshotAt(step)])
      }
    } finally {
      await store.close()
    }
  },
  async read(disk, answered) {
    // The journal's log says which one counts.
    const base = answered === 0 ? undefined : snapshotAt(answered)
    const store = await SnapshotStore.open(disk, { random: randomOf(2) }, base)
    try {
      if (base === undefined) return shown([])
      const saved = await store.read(base)
      const found: [string, string][] = []
      for await (const { key, value } of saved.rows('')) found.push([key, new TextDecoder().decode(value)])
      saved.release()
      return shown(found)
    } finally {
      await store.close()
    }
  },
  state: rowsAfter,
}

const SCOPES = 7
const fencesAfter = (step: number): string => {
  const known = new Map<string, string>()
  for (let i = 1; i <= step; i += 1) known.set(`s${i % SCOPES}`, `1.${i}`)
  return shown(known)
}

const fences: KeptStore = {
  name: 'fences',
  steps: 60,
  isBestEffort: false,
  async run(disk, answered) {
    const store = createFenceStore(disk, randomOf(1))
    try {
      const guard = await createFenceGuard(store)
      for (let step = 1; step <= this.steps; step += 1) {
        await guard.accept(`s${step % SCOPES}`, { term: 1, index: step })
        answered(step)
      }
    } finally {
      await store.close()
    }
  },
  async read(disk) {
    const store = createFenceStore(disk, randomOf(2))
    try {
      const { scopes } = await store.load()
      return shown(scopes.map(([scope, { term, index }]) => [scope, `${term}.${index}`]))
    } finally {
      await store.close()
    }
  },
  state: fencesAfter,
}

const SERIES = { publisher: 'p', word: 'tasks', epoch: 1 }
const PAYLOAD = 60

const history: KeptStore = {
  name: 'history of events',
  steps: 60,
  isBestEffort: true,
  async run(disk, answered) {
    const log = await openHistoryLog(disk, 'tasks', HISTORY_BOUNDS, { now: () => 1, log: quiet, random: randomOf(1) })
    try {
      for (let step = 1; step <= this.steps; step += 1) {
        log.keep(SERIES, { from: step, to: step }, new Uint8Array(PAYLOAD).fill(step), step)
        answered(step)
        if (step % 3 === 0) await turn()
      }
    } finally {
      await log.close()
    }
  },
  async read(disk) {
    const told: string[] = []
    const log = { ...quiet, warn: (message: string) => void told.push(message) }
    const opened = await openHistoryLog(disk, 'tasks', HISTORY_BOUNDS, { now: () => 1, log, random: randomOf(2) })
    try {
      const { batches } = await opened.find(SERIES, { from: 1, to: OPEN_END })
      for (const { bytes: batch } of batches)
        if (batch.length !== PAYLOAD || new Set(batch).size !== 1) throw new Error('a batch that was never kept')
      if (told[0] !== undefined) throw storeError('damaged', told[0], 'nothing: it is told')
      return JSON.stringify(batches.map(({ bytes: batch }) => batch[0]))
    } finally {
      await opened.close()
    }
  },
  state: (step) => JSON.stringify(Array.from({ length: step }, (_, i) => i + 1)),
}
const HISTORY_BOUNDS = { maxBytes: 1024 * 1024, maxEvents: 160, maxAgeMs: 1_000 }

export const KEPT_STORES: readonly KeptStore[] = [rows, journalLog, snapshots, fences, history]
