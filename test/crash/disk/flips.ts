/**
 * One byte is changed, anywhere in the files of a store: when it is opened again all is there, or it is told. A wrong record, or
 * one that is missing without a word, is a violation.
 */
import { createFaultyDisk } from '../../../node/testing/virtual/faulty-disk.ts'
import { createRandom } from '../../../node/testing/virtual/virtual-time.ts'
import { isParleyError } from '../../../protocols/errors.ts'
import { diskOf, type Image, imageOf } from '../../support/disk-image.ts'
import type { KeptStore } from './kept-stores.ts'

export interface DiskFindings {
  readonly figures: Readonly<Record<string, number>>
  readonly violations: readonly string[]
}

const MAX_TOLD = 20

/** What a store that did all its steps leaves; `killed`: its process ends when the last one was answered. */
const imageAfter = async (store: KeptStore, end: 'closed' | 'killed'): Promise<Image> => {
  const disk = createFaultyDisk()
  let isOver = false
  try {
    await store.run(disk.mount(), (step) => {
      if (end === 'closed' || step < store.steps) return
      isOver = true
      disk.release()
    })
  } catch (error) {
    if (!isOver) throw error
  }
  return imageOf(disk)
}

/** Any byte of any file: a small file is hit as often as a large one. */
const placeIn = (image: Image, next: () => number): { name: string; at: number; whole: Uint8Array } => {
  const files = [...image].filter(([, { length }]) => length > 0)
  const [name, whole] = files[Math.floor(next() * files.length)] ?? ['', new Uint8Array(1)]
  return { name, at: Math.floor(next() * whole.length), whole }
}

/** @returns what is wrong; `told` or `harmless` otherwise */
const judge = async (store: KeptStore, image: Image): Promise<string> => {
  try {
    const found = await store.read((await diskOf(image)).mount(), store.steps)
    return found === store.state(store.steps) ? 'harmless' : `lost or wrong without a word: ${found.slice(0, 200)}`
  } catch (error) {
    const isTold = isParleyError(error, 'STA003') && ['damaged', 'newer'].includes(String(error.details.reason))
    return isTold ? 'told' : `${error}`
  }
}

export const flipBytes = async (store: KeptStore, flips: number, seed: number): Promise<DiskFindings> => {
  const next = createRandom(seed)
  const violations: string[] = []
  const counts = { flips: 0, told: 0, harmless: 0, bytes: 0 }
  const images = [await imageAfter(store, 'closed')]
  if (!store.isBestEffort) images.push(await imageAfter(store, 'killed'))
  for (const image of images)
    if ((await judge(store, image)) !== 'harmless') violations.push('it is not whole to begin with')
  for (let i = 0; i < flips; i += 1) {
    const image = images[i % images.length] ?? new Map<string, Uint8Array>()
    const total = [...image.values()].reduce((sum, { length }) => sum + length, 0)
    counts.bytes = Math.max(counts.bytes, total)
    const { name, at, whole } = placeIn(image, next)
    const changed = whole.slice()
    changed[at] = (changed[at] ?? 0) ^ (1 + Math.floor(next() * 255))
    const verdict = await judge(store, new Map(image).set(name, changed))
    counts.flips += 1
    if (verdict === 'told') counts.told += 1
    else if (verdict === 'harmless') counts.harmless += 1
    else if (violations.length < MAX_TOLD) violations.push(`${name} byte ${at}: ${verdict}`)
  }
  return { figures: counts, violations }
}
