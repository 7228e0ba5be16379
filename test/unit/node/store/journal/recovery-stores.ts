/** Stores of one node of a mesh, as tests of their repair need them. */
import { randomBytes } from 'node:crypto'
import { createFoundingFile } from '../../../../../node/store/journal/founding-file.ts'
import { SnapshotStore } from '../../../../../node/store/journal/snapshot-store.ts'
import { openLogStore } from '../../../../../node/store/log/log-store.ts'
import { createFaultyDisk, type FaultyDisk } from '../../../../../node/testing/virtual/faulty-disk.ts'
import type { FoundingRecord } from '../../../../../protocols/consensus/bootstrap/founding-record.ts'
import type { StateRow } from '../../../../../protocols/consensus/group/group-storage.ts'
import {
  type Configuration,
  type Entry,
  encodeConfiguration,
} from '../../../../../protocols/consensus/raft/raft-messages.ts'

export const PEER = 'peer'
export const OTHERS = ['other.01', 'third.02'] as const
export const MESH = '0123456789abcdef0123456789abcdef'
export const random = (bytes: number): Uint8Array => new Uint8Array(randomBytes(bytes))
export const entry = (index: number, term = 2): Entry => ({
  index,
  term,
  kind: 'command',
  data: new Uint8Array(100).fill(index),
})
export const entries = (from: number, to: number): Entry[] =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => entry(from + i))
export const rows: readonly StateRow[] = [{ key: 'all', value: new Uint8Array(300).fill(7) }]

export interface Store {
  readonly disk: FaultyDisk
  readonly member: string
  readonly configuration: Configuration
}

/**
 * A founder's store: the configuration at index 1, commands after it, a snapshot at each of `snapshots`; the log begins
 * after the last of them, unless `named` is another one.
 */
export const storeOf = async (
  count: number,
  options: { snapshots?: readonly number[]; named?: number; voters?: readonly string[]; segmentBytes?: number } = {},
): Promise<Store> => {
  const { snapshots = [], named = snapshots.at(-1), voters = OTHERS, segmentBytes = 2_000 } = options
  const disk = createFaultyDisk()
  const store = await openLogStore(disk, { random, segmentBytes })
  const member = `${PEER}.${store.storageId}`
  const configuration = { voters: [member, ...voters].sort(), learners: [] }
  const first: Entry = { index: 1, term: 1, kind: 'configuration', data: encodeConfiguration(configuration) }
  await store.write({ hardState: { term: 2, votedFor: member, commit: 1 }, entries: [first] })
  for (const one of entries(2, count)) await store.write({ entries: [one] })
  const saved = await SnapshotStore.open(disk, { random }, undefined)
  for (const index of snapshots) await saved.save({ index, term: 2, configuration }, rows)
  await saved.close()
  if (named !== undefined) await store.write({ base: { meta: { index: named, term: 2, configuration }, keeps: true } })
  await store.close()
  const record: FoundingRecord = {
    member,
    highest: { counter: 1, proposer: member },
    founded: { meshId: MESH, members: [member, ...OTHERS].sort() },
  }
  await createFoundingFile(disk).save(record)
  return { disk, member, configuration }
}

/** What the snapshot at this index holds. */
export const rowsOf = async (disk: FaultyDisk, index: number): Promise<StateRow[]> => {
  const at = { index, term: 2 }
  const store = await SnapshotStore.open(disk, { random }, at)
  const found: StateRow[] = []
  for await (const { key, value } of (await store.read(at)).rows('')) found.push({ key, value: value.slice() })
  await store.close()
  return found
}

export const nameOf = (index: number): string => `${String(index).padStart(16, '0')}-2.snapshot`

export const contentsOf = async (disk: FaultyDisk): Promise<Record<string, string>> => {
  const found: [string, string][] = []
  for (const name of await disk.list()) found.push([name, Buffer.from(await disk.read(name)).toString('hex')])
  return Object.fromEntries(found)
}
