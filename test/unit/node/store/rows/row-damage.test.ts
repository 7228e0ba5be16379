/** Whatever byte changes, whatever file is gone or cut: never a wrong row, never a loss without a word. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { copyGoodRows } from '../../../../../node/store/rows/row-copy.ts'
import { RowEngine } from '../../../../../node/store/rows/row-engine.ts'
import type { RowEngineOptions } from '../../../../../node/store/rows/row-options.ts'
import { surveyRows } from '../../../../../node/store/rows/row-survey.ts'
import { createFaultyDisk } from '../../../../../node/testing/virtual/faulty-disk.ts'
import { createRandom } from '../../../../../node/testing/virtual/virtual-time.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'
import { diskOf, type Image, imageOf } from '../../../../support/disk-image.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (value: Uint8Array | undefined): string | undefined => value && new TextDecoder().decode(value)
const optionsOf = (seed: number): RowEngineOptions => {
  const next = createRandom(seed)
  return {
    random: (size) => Uint8Array.from({ length: size }, () => Math.floor(next() * 256)),
    log: { warn: () => {} },
    memoryBytes: 3_000,
    logBytes: 8_000,
    tableBytes: 4_000,
    roomBytes: 512,
  }
}

/** A store with tables, merges and a log, and what it holds. */
const written = async (end: 'closed' | 'killed'): Promise<{ image: Image; model: Map<string, string> }> => {
  const disk = createFaultyDisk()
  const next = createRandom(7)
  const engine = await RowEngine.open(disk.mount(), optionsOf(1))
  const model = new Map<string, string>()
  for (let round = 0; round < 150; round += 1) {
    const rows = new Map<string, Uint8Array | undefined>()
    for (let i = 0; i < 3; i += 1) {
      const key = `k/${Math.floor(next() * 90)}`
      if (next() < 0.3) {
        rows.set(key, undefined)
        model.delete(key)
      } else {
        const value = `${round}.${i}`.padEnd(20, '.')
        rows.set(key, bytes(value))
        model.set(key, value)
      }
    }
    await engine.write(rows)
  }
  // Merges end before the picture is taken.
  for (let i = 0; i < 50; i += 1) await new Promise((resolve) => setImmediate(resolve))
  assert.ok(engine.counts().tables >= 2, JSON.stringify(engine.counts()))
  if (end === 'closed') await engine.close()
  else disk.release()
  return { image: await imageOf(disk), model }
}

/** @returns undefined: all of it is there */
const judge = async (image: Image, model: ReadonlyMap<string, string>, what: string): Promise<string | undefined> => {
  let engine: RowEngine | undefined
  try {
    engine = await RowEngine.open(await diskOf(image), optionsOf(2))
    const found = new Map<string, string | undefined>()
    for await (const { key, value } of engine.rows({ prefix: '' })) found.set(key, text(value))
    assert.equal(found.size, model.size, `${what}: rows lost without a word`)
    for (const [key, value] of model) assert.equal(found.get(key), value, `${what}: ${key}`)
    return undefined
  } catch (error) {
    if (!isParleyError(error, 'STA003')) throw error
    assert.equal(error.details.reason, 'damaged', what)
    return error.message
  } finally {
    await engine?.close()
  }
}

describe('damage is told, or does no harm', () => {
  for (const end of ['closed', 'killed'] as const)
    test(`${end}: one byte flipped, in every file`, async () => {
      const { image, model } = await written(end)
      assert.equal(await judge(image, model, 'as it was'), undefined)
      let [refused, harmless] = [0, 0]
      for (const [name, whole] of image) {
        const step = name.endsWith('.table') ? 3 : name.endsWith('.log') ? 5 : 97
        for (let at = 0; at < whole.length; at += step) {
          const flipped = whole.slice()
          flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8))
          if ((await judge(new Map(image).set(name, flipped), model, `${name} byte ${at}`)) === undefined) harmless += 1
          else refused += 1
        }
      }
      assert.ok(refused > 1_000, `${refused} refused, ${harmless} harmless`)
    })

  test('each file gone, cut short, emptied', async () => {
    const { image, model } = await written('closed')
    for (const [name, whole] of image) {
      const without = new Map(image)
      without.delete(name)
      assert.notEqual(await judge(without, model, `${name} gone`), undefined)
      if (name === 'mark') continue
      for (const size of [0, 10, 64, whole.length >> 1]) {
        const cut = new Map(image).set(name, whole.slice(0, size))
        assert.notEqual(await judge(cut, model, `${name} cut at ${size}`), undefined)
      }
    }
  })
})

test('verify sees each byte of a table, and repair keeps what is good as another store', async () => {
  const { image, model } = await written('closed')
  const whole = await surveyRows(await diskOf(image))
  assert.deepEqual([whole.rows, whole.problems.length, whole.lostBlocks], [model.size, 0, 0])
  const names = [...image.keys()].filter((name) => name.endsWith('.table'))
  let flips = 0
  for (const name of names) {
    const content = image.get(name) ?? new Uint8Array()
    for (let at = 0; at < content.length; at += 41) {
      const flipped = content.slice()
      flipped[at] = (flipped[at] ?? 0) ^ 0x10
      const { problems } = await surveyRows(await diskOf(new Map(image).set(name, flipped)))
      assert.ok(problems.length > 0, `${name} byte ${at}`)
      flips += 1
    }
  }
  assert.ok(flips > 50, `${flips}`)

  for (const name of [...names, ...[...image.keys()].filter((one) => one.endsWith('.log'))]) {
    const content = (image.get(name) ?? new Uint8Array()).slice()
    content.fill(0xff, content.length >> 1, (content.length >> 1) + 40)
    const to = createFaultyDisk()
    const { before, after } = await copyGoodRows(await diskOf(new Map(image).set(name, content)), to, optionsOf(3))
    assert.ok(before.problems.length > 0)
    assert.equal(after.problems.length, 0)
    assert.equal(after.manifest?.formerIds[0], whole.manifest?.id)
    assert.ok(after.rows > model.size / 4, `${name}: ${after.rows} of ${model.size}`)
    const engine = await RowEngine.open(to.mount(), optionsOf(4))
    await engine.write(new Map([['new', bytes('row')]]))
    assert.equal(text(await engine.get('new')), 'row')
    await engine.close()
  }
})
