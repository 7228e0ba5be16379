/** The reader of logs of resources: it comes to the same as the product, and finds a product that does not. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { agreePart } from '../../../protocols/journal/part-kinds.ts'
import { beginEpoch, raiseLevel } from '../../../protocols/journal/state/built-in-kinds.ts'
import { encodeLoggedCommand, type Json } from '../../../protocols/journal/state/command-kind.ts'
import { levelOfChange, type ResourceChange } from '../../../protocols/resource/journal/resource-changes.ts'
import {
  assignResources,
  decideResources,
  resourceJournal,
} from '../../../protocols/resource/journal/resource-kinds.ts'
import { RESOURCES_PART } from '../../../protocols/resource/resource-record.ts'
import type { LogEntry } from '../../crash/disk/decided-log.ts'
import { checkEntries, createProduct } from '../../crash/resources/journal-checker.ts'

const entriesOf = (...changes: readonly (readonly [by: string, change: ResourceChange])[]): LogEntry[] => {
  const entries: LogEntry[] = []
  const add = (kind: string, by: string, input: Json, serial = 0): void => {
    const facts = { session: 0, serial, acked: 0, at: 1_000 }
    entries.push({ index: entries.length + 1, term: 1, data: encodeLoggedCommand({ ...facts, kind, by, input }) })
  }
  const { level, maxBytes } = resourceJournal
  add(raiseLevel.name, 'ann', { level: 4 })
  add(agreePart.name, 'ann', { part: RESOURCES_PART, level, maxBytes })
  add(beginEpoch.name, 'ann', { leader: 'ann', name: 'ann' })
  for (const [by, change] of changes) {
    const kind = levelOfChange(change) === 1 ? decideResources : assignResources
    add(kind.name, by, { changes: [change] } as unknown as Json)
  }
  return entries
}

const box = { owner: 'box', registration: 4 }
const register = (cpu: number): ResourceChange => ({ do: 'register', incarnation: 1, capacity: { cpu } })
const allocate = (id: string, cpu: number, more: object = {}): ResourceChange => ({
  ...{ do: 'allocate', id, registration: 5 },
  ask: { priority: 1, parts: [{ units: { cpu } }], ...more },
})
const grant = (id: string, victims?: { id: string; fence: { term: number; index: number } }[]): ResourceChange => ({
  ...{ do: 'grant', epoch: 1, id, places: [box] },
  ...(victims !== undefined && { victims }),
})
const PLAYED = [
  ['box', register(4)],
  ['bob', register(0)],
  ['bob', allocate('a', 3, { preemptible: true })],
  ['ann', grant('a')],
  ['bob', allocate('b', 2)],
  ['ann', grant('b')],
  ['bob', grant('b')],
  ['bob', allocate('c', 2, { priority: 2, preempts: true })],
  ['ann', grant('c', [{ id: 'a', fence: { term: 1, index: 7 } }])],
  ['ann', { do: 'assign', epoch: 1, id: 'x', task: 't', peer: 'box', registration: 4, priority: 1, units: { cpu: 2 } }],
  ['ann', { do: 'unassign', epoch: 1, id: 'c' }],
  ['bob', { do: 'release', id: 'c' }],
  ['box', { do: 'register', incarnation: 2, capacity: { cpu: 4 } }],
  ['ann', { do: 'expire', epoch: 1, id: 'x', reason: 'owner-lost' }],
  ['box', { do: 'register', incarnation: 2, capacity: { cpu: 4 } }],
  ['ann', { do: 'forget', epoch: 1, ids: ['a', 'x', 'b'] }],
  ['bob', { do: 'withdraw', registration: 5 }],
] as const satisfies readonly (readonly [string, ResourceChange])[]

test('it comes to the same as the product, at each entry', async () => {
  const found = await checkEntries(entriesOf(...PLAYED), createProduct())
  assert.deepEqual(found.wrong, [])
  assert.deepEqual(found.open, ['b'])
  assert.equal(found.grants, 3)
  assert.equal(found.expired, 1)
  assert.ok(found.refused >= 3)
})

test('it finds a product that grants what does not fit, and one that forgets a grant', async () => {
  const real = createProduct()
  const greedy = {
    ...real,
    // As if each node had given one thing more.
    state: () => {
      const { nodes, allocations } = real.state()
      const used = [...nodes].map(([peer, node]) => [peer, { ...node, used: { cpu: 1 } }] as const)
      return { allocations, nodes: new Map(used) }
    },
  }
  assert.match((await checkEntries(entriesOf(...PLAYED), greedy)).wrong[0] ?? '', /says that 1 cpu are used/)
  const other = createProduct()
  const forgetful = { ...other, state: () => ({ ...other.state(), allocations: new Map() }) }
  assert.ok((await checkEntries(entriesOf(...PLAYED), forgetful)).wrong.length > 0)
  const third = createProduct()
  // It does not apply what ends others.
  const deaf = {
    ...third,
    async apply(data: Uint8Array, at: { term: number; index: number }) {
      if (!new TextDecoder().decode(data).includes('victims')) await third.apply(data, at)
    },
  }
  assert.match((await checkEntries(entriesOf(...PLAYED), deaf)).wrong[0] ?? '', /ought to be/)
})
