/**
 * A tool: an agent with one skill that language models lack. The contract says what goes in and out, for callers, for the
 * compiler and, by its descriptions, for models; the handler tells how far it is and stops when nobody waits any more.
 */
import assert from 'node:assert/strict'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { z } from 'zod'
import { createMesh, defineProtocol, type Handlers, isParleyError, makeSecret } from '../node/index.ts'

export const arithmetic = defineProtocol({
  name: 'arithmetic',
  version: '1.0.0',
  methods: {
    factor: {
      description: 'Finds the prime factors of a whole number, smallest first. Exact, also for large numbers.',
      request: z.object({ number: z.int().min(2).describe('the number, at most 9007199254740991') }),
      response: z.object({ factors: z.array(z.int()) }),
      timeoutMs: 20_000,
      // Doing it twice does no harm, so that the mesh may ask another agent where one fails.
      idempotent: true,
    },
  },
})

/** Divisions between two looks at the outside: some milliseconds, so that this node goes on answering beats. */
const SLICE = 500_000

export const arithmeticHandlers: Handlers<typeof arithmetic> = {
  async factor({ number }, { signal, progress }) {
    const factors: number[] = []
    let rest = number
    for (let divisor = 2; divisor * divisor <= rest; divisor += 1) {
      while (rest % divisor === 0) {
        factors.push(divisor)
        rest /= divisor
      }
      if (divisor % SLICE !== 0) continue
      progress(divisor / Math.sqrt(rest), `${divisor} tried`)
      await nextTurn()
      signal.throwIfAborted() // the caller left, its time is over, or this node stops
    }
    if (rest > 1) factors.push(rest)
    return { factors }
  },
}

if (import.meta.main) {
  const secret = makeSecret()
  const tool = await createMesh({ name: 'calculator', secret })
  let cancelled = 0
  await tool.serve(arithmetic, {
    factor: (input, context) => {
      context.signal.addEventListener('abort', () => {
        cancelled += 1
      })
      return arithmeticHandlers.factor(input, context)
    },
  })
  const user = await createMesh({ name: 'user', secret, join: tool.self.addresses })
  await user.joined()

  const { factors } = await user.any(arithmetic).factor({ number: 600_851_475_143 })
  process.stdout.write(`600851475143 = ${factors.join(' × ')}\n`)

  // The largest prime that fits: 95 million divisions. Half a minute is left to it, and it is not needed after all.
  const stop = new AbortController()
  let heard = 0
  const given = user.any(arithmetic).factor(
    { number: 9_007_199_254_740_881 },
    {
      timeoutMs: 30_000,
      signal: stop.signal,
      onProgress: ({ fraction = 0, note = '' }) => {
        heard = fraction
        process.stdout.write(`${(fraction * 100).toFixed(1)} %, ${note}\n`)
        stop.abort(new Error('no longer needed'))
      },
    },
  )
  await assert.rejects(given, /no longer needed/)
  // What does not fit the contract never leaves the caller.
  const refused = await user
    .any(arithmetic)
    .factor({ number: 1 })
    .catch((error: unknown) => error)

  await user.stop()
  await tool.stop()
  assert.deepEqual(factors, [71, 839, 1471, 6857])
  assert.ok(heard > 0 && heard < 1)
  assert.equal(cancelled, 1, 'the tool went on for nobody')
  assert.ok(isParleyError(refused, 'MSG001'))
}
