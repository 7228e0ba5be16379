import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryRows } from '../../../../../../node/store/rows/memory-rows.ts'
import { ROWS_FORMAT } from '../../../../../../node/store/rows/row-manifest.ts'
import { DEFAULT_BYTES } from '../../../../../../node/store/rows/row-options.ts'
import { TableFiles } from '../../../../../../node/store/rows/tables/table-files.ts'
import { TableReader } from '../../../../../../node/store/rows/tables/table-reader.ts'
import { TableSet } from '../../../../../../node/store/rows/tables/table-set.ts'
import { tableName } from '../../../../../../node/store/rows/tables/table-writer.ts'
import { createFaultyDisk } from '../../../../../../node/testing/virtual/faulty-disk.ts'

const MOST_FLUSHES = 40

/** Rows that overlap with those of every other memory. */
const memoryOf = (number: number): MemoryRows => {
  const memory = new MemoryRows()
  for (let i = 0; i < 20; i += 1) memory.put(`k${String(i).padStart(2, '0')}`, Uint8Array.of(number, i))
  memory.upTo = number
  return memory
}

/** Until somebody asks for them, changes are durable at once. */
const open = () => {
  const disk = createFaultyDisk().mount()
  const tables = new TableReader(disk, DEFAULT_BYTES.cacheBytes)
  const files = new TableFiles(disk, tables, () => {})
  const held: (() => void)[] = []
  const state = { isHeld: false }
  const manifest = { format: ROWS_FORMAT, id: '00'.repeat(16), formerIds: [], flushed: 0, runs: [] }
  const set = new TableSet(manifest, {
    ...{ disk, tables, files },
    random: (bytes) => new Uint8Array(bytes).fill(7),
    pace: { isDue: () => false, rest: async () => {} },
    tableBytes: DEFAULT_BYTES.tableBytes,
    persist: () => (state.isHeld ? new Promise((resolve) => held.push(resolve)) : Promise.resolve()),
  })
  return { disk, set, state, held }
}

const until = async (isDone: () => boolean): Promise<void> => {
  for (let turn = 0; turn < 1_000 && !isDone(); turn += 1) await new Promise((resolve) => setImmediate(resolve))
  assert.ok(isDone())
}

test('tables that a merge replaced stay until the merge is durable, also where a flush becomes so before', async () => {
  const { disk, set, state, held } = open()
  const named = () => set.manifest.runs.flat().map(({ number }) => tableName(number))
  let number = 0
  // Enough runs for a merge.
  while (number < MOST_FLUSHES && set.manifest.runs.length < 4) {
    number += 1
    await set.flush(memoryOf(number), () => {})
  }
  const inputs = named()
  state.isHeld = true
  number += 1
  const flushing = set.flush(memoryOf(number), () => {})
  await until(() => held.length === 1)
  const merging = set.merge()
  await until(() => held.length === 2)
  const left = inputs.filter((name) => !named().includes(name))
  assert.ok(left.length > 0, 'the merge leaves tables out')

  held.shift()?.()
  await flushing
  await new Promise((resolve) => setImmediate(resolve))
  const kept = await disk.list()
  for (const name of left) assert.ok(kept.includes(name), `${name} is gone before the merge is durable`)

  state.isHeld = false
  for (const resolve of held.splice(0)) resolve()
  await merging
  const after = await disk.list()
  for (const name of left) assert.ok(!after.includes(name), `${name} stays for good`)
})
