import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  dialOrder,
  happyEyeballs,
  MAX_OPEN_ATTEMPTS,
  STAGGER_MS,
} from '../../../../../node/network/dial/happy-eyeballs.ts'
import { createVirtualTime } from '../../../../../node/testing/virtual/virtual-time.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'
import { failureOf } from '../../../../support/until.ts'

/** What each address does: answers or fails after so many milliseconds, or never does either. */
type Behaviour = { answersAfterMs: number } | { failsAfterMs: number } | 'silent'

const course = (behaviours: Record<string, Behaviour>) => {
  const time = createVirtualTime()
  const tried: { address: string; atMs: number }[] = []
  const open = new Set<string>()
  let mostOpen = 0
  const attempt = (address: string, signal: AbortSignal): Promise<string> => {
    tried.push({ address, atMs: time.now() })
    open.add(address)
    mostOpen = Math.max(mostOpen, open.size)
    const behaviour = behaviours[address] ?? 'silent'
    return new Promise<string>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason))
      if (behaviour === 'silent') return
      if ('answersAfterMs' in behaviour) time.after(behaviour.answersAfterMs, () => resolve(address))
      else time.after(behaviour.failsAfterMs, () => reject(new Error(`${address} refuses`)))
    }).finally(() => open.delete(address))
  }
  const run = (addresses: string[], signal = new AbortController().signal): Promise<string> =>
    happyEyeballs(addresses, { timers: time, attempt }, signal)
  return { time, tried, open, run, mostOpen: () => mostOpen }
}

test('a silent address delays the next one by the stagger and no more', async () => {
  const { time, run, tried, open } = course({ live: { answersAfterMs: 10 } })
  assert.equal(await time.settled(run(['dead', 'live']), 5_000), 'live')
  assert.equal(time.now(), STAGGER_MS + 10)
  assert.deepEqual(tried, [
    { address: 'dead', atMs: 0 },
    { address: 'live', atMs: STAGGER_MS },
  ])
  await time.run(0)
  assert.equal(open.size, 0, 'the loser was ended')
})

test('an address that refuses makes room for the next one at once', async () => {
  const { time, run } = course({ closed: { failsAfterMs: 5 }, live: { answersAfterMs: 10 } })
  assert.equal(await time.settled(run(['closed', 'live']), 5_000), 'live')
  assert.equal(time.now(), 15)
})

test('the first one is alone where it answers within the stagger', async () => {
  const { time, run, tried } = course({ live: { answersAfterMs: STAGGER_MS - 1 }, other: { answersAfterMs: 1 } })
  assert.equal(await time.settled(run(['live', 'other']), 5_000), 'live')
  assert.equal(tried.length, 1)
})

test('one that is slow still wins where the others are silent', async () => {
  const { time, run } = course({ slow: { answersAfterMs: 1_500 } })
  assert.equal(await time.settled(run(['slow', 'dead']), 5_000), 'slow')
})

test('behind more silent addresses than may be open the live one is reached all the same', async () => {
  const dead = Array.from({ length: 2 * MAX_OPEN_ATTEMPTS }, (_, i) => `dead-${i}`)
  const { time, run, mostOpen } = course({ live: { answersAfterMs: 10 } })
  assert.equal(await time.settled(run([...dead, 'live']), 10_000), 'live')
  assert.equal(time.now(), dead.length * STAGGER_MS + 10)
  // The one that is given up is counted until it has noticed.
  assert.ok(mostOpen() <= MAX_OPEN_ATTEMPTS + 1, `${mostOpen()} were open`)
})

test('where none answers the error names what each said; a single one fails with its own', async () => {
  const { time, run } = course({ a: { failsAfterMs: 1 }, b: { failsAfterMs: 1 } })
  const error = await failureOf(time.settled(run(['a', 'b']), 5_000))
  assert.ok(isParleyError(error, 'COM002'))
  assert.match(error.message, /none of 2 addresses answered: a refuses; b refuses/)
  assert.match(String(await failureOf(time.settled(run(['a']), 5_000))), /^Error: a refuses$/)
})

test('who waits no more ends all attempts, and a signal that is over starts none', async () => {
  const { time, run, open, tried } = course({})
  const waiting = new AbortController()
  const racing = failureOf(run(['a', 'b'], waiting.signal))
  await time.run(STAGGER_MS)
  assert.equal(open.size, 2)
  waiting.abort(new Error('enough'))
  assert.match(String(await racing), /enough/)
  await time.run(10 * STAGGER_MS)
  assert.equal(open.size, 0)
  assert.match(String(await failureOf(run(['c'], AbortSignal.abort(new Error('over'))))), /over/)
  assert.equal(tried.length, 2)
})

test('wherever the one live address stands, it is reached one stagger after those before it at the latest', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(15), fc.array(fc.boolean(), { minLength: 15, maxLength: 15 }), async (place, refuses) => {
      const others = refuses.map(
        (doesRefuse, i) => [`other-${i}`, doesRefuse ? { failsAfterMs: 3 } : 'silent'] as const,
      )
      const { time, run } = course({ ...Object.fromEntries(others), live: { answersAfterMs: 7 } })
      const addresses: string[] = others.map(([address]) => address)
      addresses.splice(place, 0, 'live')
      assert.equal(await time.settled(run(addresses), 10_000), 'live')
      assert.ok(time.now() <= place * STAGGER_MS + 7)
    }),
    { numRuns: 50 },
  )
})

test('the order is: what answered last, direct ones by turns of their family, relayed ones', () => {
  const [four, other, six, relayed] = [
    '/ip4/1.1.1.1/tcp/1',
    '/ip4/1.1.1.2/tcp/1',
    '/ip6/fd00::1/tcp/1',
    '/ip4/1.1.1.3/tcp/1/p2p/R/p2p-circuit',
  ] as const
  assert.deepEqual(dialOrder([relayed, four, other, six, four], undefined), [six, four, other, relayed])
  assert.deepEqual(dialOrder([relayed, four, other, six], other), [other, six, four, relayed])
  assert.deepEqual(dialOrder([`${four}/p2p/A`, `${other}/p2p/A`], other), [`${other}/p2p/A`, `${four}/p2p/A`])
  assert.deepEqual(dialOrder([four], '/ip4/9.9.9.9/tcp/1'), [four])
})
