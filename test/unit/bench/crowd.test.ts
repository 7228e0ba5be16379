import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Body } from '../../bench/body.ts'
import { acquaintances, createCrowd, forEachIndex, publisherOf } from '../../bench/crowd.ts'
import type { MemberEnds } from '../../bench/system.ts'

test('nobody is told of itself or twice of another, and everyone is reached in a few hops', () => {
  for (const nodes of [1, 2, 5, 100]) {
    for (let index = 0; index < nodes; index++) {
      const known = acquaintances(index, nodes)
      assert.equal(new Set(known).size, known.length)
      assert.ok(known.every((other) => other !== index && other >= 0 && other < nodes))
    }
    let reached = new Set([0])
    for (let hop = 0; hop < 7; hop++) {
      reached = new Set([...reached].flatMap((index) => [index, ...acquaintances(index, nodes)]))
    }
    assert.equal(reached.size, nodes)
  }
})

test('events come from nodes that are spread over the whole mesh', () => {
  const publishers = Array.from({ length: 50 }, (_, i) => publisherOf(i, 50, 100))
  assert.deepEqual([publishers[0], publishers[1], publishers.at(-1)], [0, 2, 98])
  assert.equal(new Set(publishers).size, 50)
})

test('each index is taken once, a few at a time', async () => {
  const seen: number[] = []
  let open = 0
  let most = 0
  await forEachIndex(30, async (index) => {
    most = Math.max(most, ++open)
    await Promise.resolve()
    seen.push(index)
    open--
  })
  assert.deepEqual(
    seen.sort((a, b) => a - b),
    Array.from({ length: 30 }, (_, i) => i),
  )
  assert.ok(most > 1 && most <= 4)
})

/** Members that hear whatever one of them publishes at once, but for those that `deaf` names. */
const room = (deaf: (name: string) => boolean): MemberEnds => {
  const listeners = new Map<string, (body: Body) => void>()
  return {
    member: async (name) => ({
      address: name,
      meet: async () => {},
      peers: () => listeners.size - 1,
      subscribe: async (onEvent) => void listeners.set(name, onEvent),
      publish: async (body) => {
        for (const [other, hear] of listeners) if (!deaf(other)) hear(body)
      },
      stop: async () => {},
    }),
  }
}

test('a crowd counts deliveries at all others, and not what a publisher hears of itself', {
  timeout: 30_000,
}, async () => {
  const crowd = createCrowd(room(() => false))
  const formed = await crowd.grow(5, 20_000)
  assert.deepEqual([formed.leastPeers, formed.mostPeers], [4, 4])
  const { expected, received, doubled, latenciesMs } = await crowd.publish(100, 3, 1_000)
  assert.deepEqual([expected, received, doubled, latenciesMs.length], [12, 12, 0, 12])
})

test('a delivery that never comes is missing in the count', { timeout: 30_000 }, async () => {
  const crowd = createCrowd(room((name) => name === 'node-4'))
  await crowd.grow(5, 20_000)
  const { expected, received } = await crowd.publish(100, 2, 100)
  assert.deepEqual([expected, received], [8, 6])
})
