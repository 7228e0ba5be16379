/** Large values that follow from a number, and the work on them: it reads a large input, records a large effect, gives a large result. */
import { createCipheriv, createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { WorkFunction } from '../../../node/index.ts'
import type { Large, TaskNote } from './verbs.ts'

export const LARGE_TYPE = 'large'
export const EFFECT_BYTES = 1024 * 1024
/** Milliseconds between the effect and the result: time to be killed in. */
const WORK_MS = 1_500

export const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** Not to be compressed. */
export const largeBytes = ({ bytes, seed }: Pick<Large, 'bytes' | 'seed'>): Buffer => {
  const key = createHash('sha256').update(`${seed}`).digest()
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(bytes))
}

/** Of its result: the other one of the pair. */
export const resultSeed = (seed: number): number => seed + 1_000_000

/** @param outside what an effect does outside of the mesh */
export const largeWork =
  (
    outside: (task: string, key: string, fence: number) => Promise<void>,
    tell: (note: TaskNote) => void,
  ): WorkFunction<Uint8Array> =>
  async ({ id, input, metadata }, ctx) => {
    const { bytes, seed } = metadata as unknown as Large
    if (hashOf(input) !== hashOf(largeBytes({ bytes, seed }))) throw new Error('the input is another one')
    const wanted = largeBytes({ bytes: EFFECT_BYTES, seed: seed + 1 })
    const drawn = await ctx.effect('draw', async ({ idempotencyKey, fence }) => {
      await outside(id, idempotencyKey, fence.index)
      return wanted
    })
    tell({ type: 'recorded', key: `${id}/draw` })
    if (hashOf(drawn) !== hashOf(wanted)) throw new Error('the effect has another value')
    await delay(WORK_MS)
    return largeBytes({ bytes, seed: resultSeed(seed) })
  }
