/** The runs on the virtual disk find what they look for: stores that do not check, or answer too early, are found out. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Disk } from '../../../node/store/files/disk.ts'
import { cutPower } from '../../crash/disk/cuts.ts'
import { flipBytes } from '../../crash/disk/flips.ts'
import { KEPT_STORES, type KeptStore } from '../../crash/disk/kept-stores.ts'

const FLIPS = 60

/** Digits in a file, without any checksum. */
const careless = (syncs: boolean): KeptStore => ({
  name: 'careless',
  steps: 9,
  isBestEffort: false,
  async run(disk: Disk, answered) {
    const file = await disk.create('digits')
    await disk.syncNames()
    for (let step = 1; step <= this.steps; step += 1) {
      await file.write(new TextEncoder().encode(String(step)), step - 1)
      if (syncs) await file.sync()
      answered(step)
    }
  },
  async read(disk) {
    const names = await disk.list()
    return names.length === 0 ? '' : new TextDecoder().decode(await disk.read('digits'))
  },
  state: (step) => '123456789'.slice(0, step),
})

test('a store without checksums fails where bytes change, and one that syncs stands a power cut', async () => {
  const { violations, figures } = await flipBytes(careless(true), FLIPS, 1)
  assert.equal(figures.flips, FLIPS)
  assert.ok(violations.length > 10, `${violations.length}`)
  assert.deepEqual((await cutPower(careless(true), 2, 1)).violations, [])
})

test('a store that answers before it is durable fails where the power goes', async () => {
  assert.ok((await cutPower(careless(false), 4, 1)).violations.length > 0)
})

for (const store of KEPT_STORES)
  test(`${store.name}: bytes that change are told, and a power cut takes nothing that was answered`, async () => {
    const flipped = await flipBytes(store, FLIPS, 2)
    assert.deepEqual(flipped.violations, [])
    assert.ok((flipped.figures.told ?? 0) > FLIPS / 10, JSON.stringify(flipped.figures))
    const cut = await cutPower({ ...store, steps: Math.ceil(store.steps / 4) }, 1, 2)
    assert.deepEqual(cut.violations, [])
    assert.ok((cut.figures.cuts ?? 0) >= 10, JSON.stringify(cut.figures))
  })
