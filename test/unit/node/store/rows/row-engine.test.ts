/** The engine under all that is kept: what was answered is there, whatever the disk and the power do. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { openFolder } from '../../../../../node/store/files/disk.ts'
import { RowEngine } from '../../../../../node/store/rows/row-engine.ts'
import type { RowEngineOptions } from '../../../../../node/store/rows/row-options.ts'
import { createFaultyDisk, type FaultyDisk } from '../../../../../node/testing/virtual/faulty-disk.ts'
import { createRandom } from '../../../../../node/testing/virtual/virtual-time.ts'
import { testFolder } from '../../../../support/folder.ts'

type Model = Map<string, string>
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (value: Uint8Array | undefined): string | undefined => value && new TextDecoder().decode(value)

const SMALL: Partial<RowEngineOptions> = {
  memoryBytes: 4_000,
  logBytes: 16_000,
  tableBytes: 6_000,
  cacheBytes: 2_000,
  roomBytes: 1_024,
}

const openOn = (disk: FaultyDisk, next: () => number, more: Partial<RowEngineOptions> = {}) => {
  const random = (size: number): Uint8Array => Uint8Array.from({ length: size }, () => Math.floor(next() * 256))
  return RowEngine.open(disk.mount(), { random, log: { warn: () => {} }, ...SMALL, ...more })
}

/** All rows, by ranges and one by one. */
const readAll = async (engine: RowEngine): Promise<Model> => {
  const found: Model = new Map()
  for await (const { key, value } of engine.rows({ prefix: '' })) found.set(key, text(value) ?? '')
  return found
}

const sorted = (model: Model): [string, string][] =>
  [...model].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))

/** A group of changes, as a seed says. */
const groupOf = (next: () => number, round: number): Map<string, string | undefined> => {
  const group = new Map<string, string | undefined>()
  const count = 1 + Math.floor(next() * 8)
  for (let i = 0; i < count; i += 1) {
    const key = `${'abä\u{1f600}'.slice(0, 1 + Math.floor(next() * 2))}/${Math.floor(next() * 120)}`.toWellFormed()
    const size = next() < 0.05 ? 3_000 : Math.floor(next() * 60)
    group.set(key, next() < 0.4 ? undefined : `${round}:${i}:`.padEnd(size, 'x'))
  }
  return group
}

const applied = (model: Model, group: ReadonlyMap<string, string | undefined>): Model => {
  const after = new Map(model)
  for (const [key, value] of group) {
    if (value === undefined) after.delete(key)
    else after.set(key, value)
  }
  return after
}

const rowsOf = (group: ReadonlyMap<string, string | undefined>): Map<string, Uint8Array | undefined> =>
  new Map([...group].map(([key, value]) => [key, value === undefined ? undefined : bytes(value)]))

describe('rows through memory, tables and merges are those that were written', () => {
  for (const seed of [1, 2, 3, 4, 5])
    test(`seed ${seed}`, async () => {
      const next = createRandom(seed)
      const disk = createFaultyDisk()
      let engine = await openOn(disk, next)
      let model: Model = new Map()
      for (let round = 0; round < 400; round += 1) {
        const group = groupOf(next, round)
        await engine.write(rowsOf(group))
        model = applied(model, group)
        if (round % 50 === 0) assert.deepEqual([...(await readAll(engine))], sorted(model), `round ${round}`)
        const some = [...group.keys()][0] ?? ''
        assert.equal(text(await engine.get(some)), model.get(some))
        if (round % 90 === 89) {
          await engine.close()
          engine = await openOn(disk, next)
        }
      }
      const { flushes, merges, tables } = engine.counts()
      assert.ok(flushes + merges + tables > 3, JSON.stringify(engine.counts()))
      for (const [key, value] of model) assert.equal(text(await engine.get(key)), value)
      const begin = sorted(model).filter(([key]) => key.startsWith('a/'))
      const after = begin[3]?.[0]
      const span: string[] = []
      for await (const { key } of engine.rows({ prefix: 'a/', after, limit: 5 })) span.push(key)
      assert.deepEqual(
        span,
        begin.slice(4, 9).map(([key]) => key),
      )
      await engine.close()
    })
})

test('a power cut at any time leaves what was answered, all of a group or nothing of it', async () => {
  let cuts = 0
  for (let seed = 0; seed < 300; seed += 1) {
    const next = createRandom(seed)
    const disk = createFaultyDisk()
    let model: Model = new Map()
    let after: Model | undefined
    let engine = await openOn(disk, next)
    const turns = Math.floor(next() * 4_000)
    let isCut = false
    const cut = (async () => {
      for (let turn = 0; turn < turns; turn += 1) await Promise.resolve()
      disk.crash(next)
      isCut = true
    })()
    try {
      for (let round = 0; round < 80 && !isCut; round += 1) {
        const group = groupOf(next, round)
        after = applied(model, group)
        await engine.write(rowsOf(group))
        model = after
        after = undefined
      }
    } catch {
      // The disk went away.
    }
    await cut
    await engine.close().catch(() => {})
    cuts += 1
    engine = await openOn(disk, next)
    const found = [...(await readAll(engine))]
    const isBefore = JSON.stringify(found) === JSON.stringify(sorted(model))
    const isAfter = after !== undefined && JSON.stringify(found) === JSON.stringify(sorted(after))
    assert.ok(isBefore || isAfter, `seed ${seed}: ${found.length} rows, ${model.size} answered`)
    await engine.write(new Map([['z', bytes('new')]]))
    assert.equal(text(await engine.get('z')), 'new')
    await engine.close()
  }
  assert.equal(cuts, 300)
})

test('on a real disk rows are read while the tables that they were in are merged away', async (t) => {
  const next = createRandom(11)
  const random = (size: number): Uint8Array => Uint8Array.from({ length: size }, () => Math.floor(next() * 256))
  const disk = await openFolder(await testFolder(t))
  const engine = await RowEngine.open(disk, { random, log: { warn: () => {} }, ...SMALL, cacheBytes: 0 })
  let model: Model = new Map()
  let isOver = false
  let read = 0
  const reading = async (): Promise<void> => {
    while (!isOver) {
      const key = `a/${Math.floor(next() * 120)}`
      const before = model.get(key)
      const found = text(await engine.get(key))
      // What was written meanwhile counts as well.
      assert.ok(found === before || found === model.get(key), `${key}: ${found}`)
      read += 1
      // Rows in memory come without waiting.
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  const readers = Promise.all(Array.from({ length: 8 }, reading))
  for (let round = 0; round < 400; round += 1) {
    const group = groupOf(next, round)
    const after = applied(model, group)
    await engine.write(rowsOf(group))
    model = after
    if (round % 100 === 0) assert.deepEqual([...(await readAll(engine))], sorted(model))
  }
  isOver = true
  await readers
  const { merges, tables } = engine.counts()
  assert.ok(read > 400 && merges > 3 && tables > 0, `${read} reads, ${merges} merges`)
  await engine.close()
})
