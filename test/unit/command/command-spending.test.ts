/** A property of commands with a budget: whatever happens, what handlers spend is never more than what their sender counts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createRandom } from '../../../node/testing/virtual/virtual-time.ts'
import { ParleyError } from '../../../protocols/errors.ts'
import { commandPair } from '../../support/command-pair.ts'

const OPTIONS = { timeoutMs: 3_000, retry: { maxRetries: 6, initialDelayMs: 50, maxDelayMs: 200 } }

/** One to three sends, some under one id, to a handler that may be slow, fail or ask for too much; cuts and a restart meanwhile. */
const spend = async (seed: number): Promise<{ real: number; counted: number }> => {
  const random = createRandom(seed)
  const below = (most: number): number => Math.floor(random() * most)
  const limits = {
    maxCount: 3,
    maxBytes: 1 << 20,
    maxAgeMs: below(4) === 0 ? 3_000 : 600_000,
    maxRunning: 1 + below(4),
  }
  let real = 0
  const pair = await commandPair(async (_, { budget, signal }) => {
    const pay = (tokens: number): void => {
      budget?.spend({ tokens })
      real += tokens
    }
    pay(below(15))
    if (below(3) > 0) await pair.pause(below(900))
    if (below(2) === 0 && !signal.aborted) pay(below(30))
    if (below(2) === 0) throw new ParleyError(below(9) === 0 ? 'STA003' : 'COM001', 'the model was late')
  }, limits)
  const { a, b, time, slice } = pair
  const send = async (n: number): Promise<void> => {
    await new Promise<void>((resolve) => a.port.timers.after(1 + below(800), resolve))
    const budget = { of: slice, amounts: { tokens: 30 } }
    const commandId = below(3) > 0 ? 'same' : `other ${n}`
    await a.commands.send(b.id, 'work', 1, { ...OPTIONS, commandId, budget, ackTimeoutMs: 100 + below(300) })
  }
  const all = Promise.allSettled(Array.from({ length: 1 + below(3) }, (_, n) => send(n)))
  for (let cuts = below(4); cuts > 0; cuts -= 1) {
    await time.run(below(800))
    await pair.cut(below(300))
  }
  if (below(3) === 0) await pair.restart()
  await time.settled(all, 60_000)
  await time.run(10_000)
  return { real, counted: slice.counts().spent.tokens ?? 0 }
}

test('what handlers spend is counted at their sender, whatever is lost on the way', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(), async (seed) => {
      const { real, counted } = await spend(seed)
      assert.ok(real <= counted, `${real} were spent, and ${counted} counted`)
    }),
    { numRuns: 40 },
  )
})
