import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { Body } from '../../bench/body.ts'
import { closedLoop } from '../../bench/load.ts'

const load = { bytes: 256, inFlight: 8, warmUpMs: 5, durationMs: 20 }

test('as many calls as asked for are in flight, and never more', async () => {
  let open = 0
  let most = 0
  const figures = await closedLoop(async (body) => {
    most = Math.max(most, ++open)
    await turn()
    open--
    return body
  }, load)
  assert.equal(most, 8)
  assert.equal(open, 0)
  assert.ok(figures.calls >= 8 && figures.perSecond > 0 && figures.p50Ms <= figures.p99Ms)
})

test('every request has a body of its own', async () => {
  const seen = new Set<string>()
  let calls = 0
  await closedLoop(
    async (body) => {
      seen.add(body.data)
      calls++
      await turn()
      return body
    },
    { ...load, warmUpMs: 0 },
  )
  assert.equal(seen.size, calls)
})

test('an answer that is not what was sent fails the measurement', async () => {
  const wrong = async (body: Body): Promise<Body> => {
    await turn()
    return { data: `${body.data.slice(1)}y` }
  }
  await assert.rejects(closedLoop(wrong, load), /not what was sent/)
})

test('a call that fails fails the measurement', async () => {
  await assert.rejects(
    closedLoop(async () => {
      await turn()
      throw new Error('connection lost')
    }, load),
    /connection lost/,
  )
})
