/** What one subscription was told: which events came and which were missed, checked against each other. */
import assert from 'node:assert/strict'
import type { MeshEvent, Missed } from '../../protocols/events/event.ts'
import type { EventStore } from '../../protocols/events/history/history-contract.ts'
import { createMemoryHistory } from '../../protocols/events/history/memory-history.ts'

interface Told {
  kind: 'came' | 'missed'
  publisher: string
  epoch: number
  from: number
  to: number
}

export const createLedger = (name: string) => {
  const told: Told[] = []
  const of = (publisher: string) => told.filter((one) => one.publisher === publisher)
  return {
    told,
    hear: ({ source, epoch, sequence }: MeshEvent) =>
      void told.push({ kind: 'came', publisher: source, epoch, from: sequence, to: sequence }),
    miss: ({ publisher, epoch, from, to }: Missed) => void told.push({ kind: 'missed', publisher, epoch, from, to }),
    came: (publisher: string, epoch: number) =>
      of(publisher).flatMap((one) => (one.kind === 'came' && one.epoch === epoch ? [one.from] : [])),
    missed: (publisher: string, epoch: number) =>
      of(publisher).flatMap((one) => (one.kind === 'missed' && one.epoch === epoch ? [[one.from, one.to]] : [])),
    /** Of each life, every number from its first up to `last` was told once, in order, and the lives one after another. */
    check(publisher: string, lives: ReadonlyMap<number, number>, from: number | undefined) {
      let epoch = 0
      let next = 0
      for (const one of of(publisher)) {
        const where = `${name}: ${publisher} ${one.epoch} ${one.kind} ${one.from} to ${one.to}`
        if (one.epoch !== epoch) {
          assert.ok(one.epoch > epoch, `${where} after ${epoch}`)
          if (epoch !== 0) assert.equal(next - 1, lives.get(epoch), `${name}: the end of ${publisher} ${epoch}`)
          next = epoch === 0 ? (from ?? one.from) : 1
          epoch = one.epoch
        }
        assert.equal(one.from, next, where)
        next = one.to + 1
      }
      const [last] = [...lives.keys()].slice(-1)
      if (last === undefined) return
      assert.equal(epoch, last, `${name}: the last life of ${publisher}`)
      assert.equal(next - 1, lives.get(last), `${name}: the end of ${publisher} ${last}`)
    },
  }
}
export type Ledger = ReturnType<typeof createLedger>

/** A store that outlives the node, as a disk does. */
export const createShelf = (): EventStore & { cursors: Map<string, unknown> } => {
  const words = new Map<string, ReturnType<typeof createMemoryHistory>>()
  const cursors = new Map<string, Parameters<EventStore['saveCursor']>[1]>()
  return {
    cursors,
    async open(word, bounds) {
      const known = words.get(word) ?? createMemoryHistory(bounds, () => 0)
      words.set(word, known)
      return known
    },
    loadCursor: async (name) => cursors.get(name),
    async saveCursor(name, cursor) {
      cursors.set(name, structuredClone(cursor))
    },
    async close() {},
  }
}
