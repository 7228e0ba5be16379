import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { type Body, sequenceOf } from '../../bench/body.ts'
import { countSchema } from '../../bench/counting.ts'
import type { Acting } from '../../bench/role.ts'
import { doneSchema, roles } from '../../bench/suites/durable-roles.ts'
import type { Guarantee, System } from '../../bench/system.ts'

/** Both ends in this process; each message comes as often as `copies` says. */
const systemOf = (copies: (sequence: number) => number) => {
  let onMessage: (body: Body) => void = () => {}
  let inFlight = 0
  const seen = { most: 0, guarantees: [] as Guarantee[] }
  const system: System = {
    durable: {
      receive: async (guarantee, consume) => {
        onMessage = consume
        seen.guarantees.push(guarantee)
        return { address: 'here', stop: async () => {} }
      },
      connect: async (_address, guarantee) => {
        seen.guarantees.push(guarantee)
        return {
          send: async (body, onConfirmed) => {
            inFlight++
            seen.most = Math.max(seen.most, inFlight)
            await new Promise((resolve) => setImmediate(resolve))
            onConfirmed()
            for (let i = copies(sequenceOf(body)); i > 0; i--) onMessage(body)
            inFlight--
          },
          stop: async () => {},
        }
      },
    },
  }
  return { system, seen }
}

const ask = async (end: Acting | undefined, verb: string, input: unknown): Promise<unknown> => end?.verbs[verb]?.(input)

const runWith = async (copies: (sequence: number) => number) => {
  const { system, seen } = systemOf(copies)
  const consumer = await roles.consumer?.(system, 'exactly-once')
  const producer = await roles.producer?.(system, {
    address: z.string().parse(consumer?.hello),
    guarantee: 'exactly-once',
  })
  await ask(consumer, 'expect', { first: 5_000, capacity: 1_000 })
  const run = { first: 5_000, capacity: 1_000, inFlight: 64, durationMs: 60_000 }
  const done = doneSchema.parse(await ask(producer, 'run', run))
  const settle = { expected: done.sent, limitMs: 10, stallMs: 10 }
  return { done, seen, count: countSchema.parse(await ask(consumer, 'settle', settle)) }
}

test('the producer keeps as many in flight as it is told, and stops at the most that it may send', async () => {
  const { done, seen, count } = await runWith(() => 1)
  assert.equal(seen.most, 64)
  assert.equal(done.sent, 1_000)
  assert.deepEqual([count.received, count.doubled], [1_000, 0])
  assert.ok(done.confirmedP50Ms <= done.p99Ms)
  assert.deepEqual(seen.guarantees, ['exactly-once', 'exactly-once'])
})

test('what is lost and what comes twice is seen', async () => {
  const { count } = await runWith((sequence) => (sequence % 100 === 0 ? 0 : sequence % 100 === 1 ? 2 : 1))
  assert.deepEqual([count.received, count.doubled], [990, 10])
})

test('a system without durable messages is refused', async () => {
  await assert.rejects(async () => roles.consumer?.({}, 'exactly-once'), /no durable messages/)
})
